package otp

func (w *work) guardPumping(*challenge) error { return nil }

func (w *work) converted(c *challenge) error { return nil }
