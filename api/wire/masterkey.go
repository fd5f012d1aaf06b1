package wire

// MasterKey is one key of the key file, by its id only.
type MasterKey struct {
	ID           string `json:"id" doc:"The key's id in the key file." example:"k2"`
	Current      bool   `json:"current" doc:"Whether new records are sealed with it." example:"true"`
	SealsRecords bool   `json:"seals_records" doc:"Whether any record is still sealed with it." example:"true"`
	PendingCodes int    `json:"pending_codes" doc:"How many pending codes are made with it." example:"3"`
}

// MasterKeys are the keys that the daemon has read from the key file.
type MasterKeys struct {
	Keys []MasterKey `json:"keys" nullable:"false" doc:"Oldest first. One that is not current, seals no record and makes no code may be dropped from the file."`
}
