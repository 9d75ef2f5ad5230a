package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	messages = 40
	patience = 30 * time.Second
)

type sent struct {
	Body   string `json:"body"`
	Status int    `json:"status"`
	Queue  string `json:"queue"`
	Offset int64  `json:"offset"`
	ID     string `json:"msg_id"`
}

func label(queue *primitive.MessageQueue) string {
	return fmt.Sprintf("%s:%d", queue.BrokerName, queue.QueueId)
}

func newSent(body string, result *primitive.SendResult) sent {
	return sent{body, int(result.Status), label(result.MessageQueue), result.QueueOffset, result.MsgID}
}

func (s stage) startProducer() (rocketmq.Producer, error) {
	p, err := rocketmq.NewProducer(
		producer.WithNameServer(s.nameservers),
		producer.WithGroupName(s.name+"-producers"),
		producer.WithInstanceName(s.name),
		producer.WithSendMsgTimeout(10*time.Second),
	)
	if err != nil {
		return nil, err
	}
	return p, p.Start()
}

// ends tells how many messages are in each queue that was used.
type ends map[primitive.MessageQueue]int64

// send sends messages one by one; the first creates the topic. It returns the results and where the queues end.
func (s stage) send(topic, word string) ([]sent, ends, error) {
	p, err := s.startProducer()
	if err != nil {
		return nil, nil, err
	}
	defer p.Shutdown()
	var results []sent
	queues := ends{}
	for i := range messages {
		body := fmt.Sprintf("%s-%d", word, i)
		message := primitive.NewMessage(topic, []byte(body)).WithTag("TagA").WithKeys([]string{"订单-7"})
		result, err := p.SendSync(context.Background(), message)
		if err != nil {
			return nil, nil, fmt.Errorf("message %d: %w", i, err)
		}
		results = append(results, newSent(body, result))
		queues[*result.MessageQueue] = result.QueueOffset + 1
	}
	return results, queues, nil
}

func sendSync(s stage) (saw, error) {
	results, queues, err := s.send(s.name, "sync")
	if err != nil {
		return nil, err
	}
	stored, err := s.pull(s.name, queues)
	return saw{"sent": results, "stored": stored}, err
}

func sendAsync(s stage) (saw, error) {
	if _, _, err := s.send(s.name, "first"); err != nil { // creates the topic
		return nil, err
	}
	p, err := s.startProducer()
	if err != nil {
		return nil, err
	}
	defer p.Shutdown()
	var lock sync.Mutex
	var pending sync.WaitGroup
	var results []sent
	var failures []error
	for i := range messages {
		body := fmt.Sprintf("async-%d", i)
		pending.Add(1)
		err := p.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			defer pending.Done()
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				failures = append(failures, err)
				return
			}
			results = append(results, newSent(body, result))
		}, primitive.NewMessage(s.name, []byte(body)))
		if err != nil {
			return nil, err
		}
	}
	pending.Wait()
	return saw{"sent": results}, errors.Join(failures...)
}

func sendBatch(s stage) (saw, error) {
	_, queues, err := s.send(s.name, "first") // creates the topic
	if err != nil {
		return nil, err
	}
	p, err := s.startProducer()
	if err != nil {
		return nil, err
	}
	defer p.Shutdown()
	var bodies []string
	var batch []*primitive.Message
	for i := range messages {
		bodies = append(bodies, fmt.Sprintf("batch-%d", i))
		batch = append(batch, primitive.NewMessage(s.name, []byte(bodies[i])))
	}
	result, err := p.SendSync(context.Background(), batch...)
	if err != nil {
		return nil, err
	}
	queues[*result.MessageQueue] = result.QueueOffset + messages
	stored, err := s.pull(s.name, queues)
	return saw{"bodies": bodies, "result": newSent("", result), "stored": stored}, err
}

func pushConsumer(s stage) (saw, error) {
	before, _, err := s.send(s.name, "before")
	if err != nil {
		return nil, err
	}
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNameServer(s.nameservers),
		consumer.WithGroupName(s.name+"-group"),
		consumer.WithInstance(s.name+"-consumer"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	if err != nil {
		return nil, err
	}
	var lock sync.Mutex
	var received, keys []string
	note := func(_ context.Context, batch ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		lock.Lock()
		defer lock.Unlock()
		for _, message := range batch {
			received = append(received, string(message.Body))
			keys = append(keys, message.GetKeys())
		}
		return consumer.ConsumeSuccess, nil
	}
	if err := c.Subscribe(s.name, consumer.MessageSelector{Type: consumer.TAG, Expression: "TagA"}, note); err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	defer c.Shutdown()
	after, _, err := s.send(s.name, "after")
	if err != nil {
		return nil, err
	}
	count := func() int {
		lock.Lock()
		defer lock.Unlock()
		return len(received)
	}
	if err := waitUntil("all messages", func() bool { return count() >= 2*messages }); err != nil {
		return nil, fmt.Errorf("%w, got %d", err, count())
	}
	time.Sleep(500 * time.Millisecond) // time for duplicates to show
	lock.Lock()
	defer lock.Unlock()
	return saw{"sent": append(before, after...), "received": received, "keys": keys}, nil
}

func pullConsumer(s stage) (saw, error) {
	results, queues, err := s.send(s.name, "pulled")
	if err != nil {
		return nil, err
	}
	pulled, err := s.pull(s.name, queues)
	return saw{"sent": results, "stored": pulled}, err
}

// pull reads the queues from their start to their ends: queue to bodies, by offset.
func (s stage) pull(topic string, queues ends) (map[string][]string, error) {
	c, err := rocketmq.NewPullConsumer(
		consumer.WithNameServer(s.nameservers),
		consumer.WithGroupName(s.name+"-reader"),
		consumer.WithInstance(s.name+"-reader"),
	)
	if err != nil {
		return nil, err
	}
	if err := c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}); err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	defer c.Shutdown()
	pulled := map[string][]string{}
	for queue, end := range queues {
		name := label(&queue)
		for int64(len(pulled[name])) < end {
			result, err := c.PullFrom(context.Background(), &queue, int64(len(pulled[name])), 32)
			if err != nil {
				return nil, fmt.Errorf("pull of %s: %w", name, err)
			}
			if result.Status != primitive.PullFound {
				return nil, fmt.Errorf("pull of %s at %d of %d: status %d", name, len(pulled[name]), end, result.Status)
			}
			for _, message := range result.GetMessageExts() {
				pulled[name] = append(pulled[name], string(message.Body))
			}
		}
	}
	return pulled, nil
}

func waitUntil(what string, condition func() bool) error {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v in vain for %s", patience, what)
		}
	}
	return nil
}
