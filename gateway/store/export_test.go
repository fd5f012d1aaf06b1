package store

// Unsynced returns cfg for a store that does not sync, which the tests of everything but durability may use.
func Unsynced(cfg BadgerConfig) BadgerConfig {
	cfg.unsynced = true
	return cfg
}
