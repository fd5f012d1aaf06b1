package otp

// refusalLabel is the limit or rule that e stands for, from a closed set.
func refusalLabel(e *Error) string {
	if e.Limit != "" {
		return e.Limit
	}
	return string(e.Code)
}

// reportRefusal counts a refusal for metrics and the limits report.
func (w *work) reportRefusal(e *Error) error {
	w.count(func() { w.metrics.refusals.WithLabelValues(refusalLabel(e)).Inc() })
	return nil
}
