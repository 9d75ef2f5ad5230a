// The official Go client, driven by our cases: prints one line of JSON for each,
// {"case", "ok", "seconds", "saw"} or, if it failed, {"case", "ok", "seconds", "error"}.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type saw map[string]any

var cases = []struct {
	name string
	run  func(stage) (saw, error)
}{
	{"send_sync", sendSync},
	{"send_async", sendAsync},
	{"send_batch", sendBatch},
	{"push_consumer", pushConsumer},
	{"pull_consumer", pullConsumer},
}

// stage is what one case works with.
type stage struct {
	nameservers []string
	name        string // prefix of the topics and groups that no other case uses
}

type line struct {
	Case    string  `json:"case"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Saw     saw     `json:"saw,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func main() {
	nameserver := flag.String("nameserver", "", "ip:port;ip:port")
	run := flag.String("run", "", "prefix of all topics and groups")
	flag.Parse()
	rlog.SetLogLevel("error")

	exit := 0
	var running sync.WaitGroup
	var output sync.Mutex
	for _, c := range cases {
		running.Add(1)
		go func() {
			defer running.Done()
			l := runOne(c.name, c.run, stage{strings.Split(*nameserver, ";"), *run + "-" + c.name})
			text, err := json.Marshal(l)
			if err != nil {
				panic(err)
			}
			output.Lock()
			defer output.Unlock()
			fmt.Println(string(text))
			if !l.OK {
				exit = 1
			}
		}()
	}
	running.Wait()
	os.Exit(exit)
}

func runOne(name string, run func(stage) (saw, error), s stage) line {
	start := time.Now()
	seen, err := run(s)
	l := line{Case: name, OK: err == nil, Seconds: time.Since(start).Seconds(), Saw: seen}
	if err != nil {
		l.Error = err.Error()
	}
	return l
}
