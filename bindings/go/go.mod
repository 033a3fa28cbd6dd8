module github.com/oncegate/oncegate/bindings/go

go 1.25
