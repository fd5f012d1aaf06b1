package console

// overview is the first page: how codes fare now.
func overview(q *request) error {
	modems, err := q.api.Modems(q.Context())
	if err != nil {
		return err
	}
	return q.show("overview", q.console.words.text("overview.title"), modems)
}
