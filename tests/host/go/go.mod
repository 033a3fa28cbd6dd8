module github.com/oncegate/oncegate/tests/host

go 1.25

require github.com/oncegate/oncegate/bindings/go v0.0.0

replace github.com/oncegate/oncegate/bindings/go => ../../../bindings/go
