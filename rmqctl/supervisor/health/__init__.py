"""Whether nodes serve: asked again and again, told to `rmqctl status`, explained when they do not."""
