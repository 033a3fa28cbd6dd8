package oncegate

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// goName is what a field of C is called here.
func goName(field string) string {
	var name strings.Builder
	for _, word := range strings.Split(field, "_") {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

// numbersOf are the numbers in a struct of C that are not zero, by the names of their fields.
func numbersOf(raw reflect.Value) map[string]uint64 {
	found := map[string]uint64{}
	for i := range raw.NumField() {
		if field := raw.Field(i); field.CanUint() && field.Uint() != 0 {
			found[raw.Type().Field(i).Name] = field.Uint()
		}
	}
	return found
}

// Goal: each option of a tier reaches the field that is meant, and each text is its own.
// Method: options that all differ, as they are handed to C; zeros that are said.
func TestTierOptionsReachTheirFields(t *testing.T) {
	raw, texts, err := (&TierOptions{
		URL: "u", Prefix: "pp", EncryptionKey: []byte("eee"), RetiringKey: []byte("rrrr"),
		Deadline: 5 * time.Millisecond, LatencyObjective: 6 * time.Millisecond,
		LeaseSlice: 7 * time.Millisecond, Margin: 8 * time.Millisecond,
		PollEvery: 9 * time.Millisecond, Quarantine: 10 * time.Millisecond, Undelivered: 11,
		OnOutage: OutageRun, AllowEviction: true, Cluster: true, TLSRoot: []byte("ttttt"),
		TLSCertificate: []byte("cccccc"), TLSKey: []byte("kkkkkkk"), SentinelName: "ssssssss",
		Sentinels: []string{"nnnn", "mmmm"}, WaitReplicas: 12,
		WaitReplicasFor: 13 * time.Millisecond, OutcomeLimit: 14, CompressFrom: 15, DeadLetters: 16,
	}).raw()
	must(t, err)
	got := numbersOf(reflect.ValueOf(raw.options))
	want := map[string]uint64{
		"deadline_ms": 5, "latency_objective_ms": 6, "lease_slice_ms": 7, "margin_ms": 8,
		"poll_every_ms": 9, "quarantine_ms": 10, "undelivered": 11, "on_outage": 2,
		"allow_eviction": 1, "cluster": 1, "wait_replicas": 12, "wait_replicas_ms": 13,
		"outcome_limit": 14, "compress_from": 15, "dead_letters": 16,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("numbers %v, want %v", got, want)
	}
	for i, length := range raw.lens {
		if int(length) != i+1 {
			t.Errorf("text %d has %d bytes", i, length)
		}
	}
	if string(texts) != "uppeeerrrrtttttcccccckkkkkkkssssssssnnnn,mmmm" {
		t.Errorf("texts %q", texts)
	}
	raw, _, err = (&TierOptions{Margin: Zero, Undelivered: Zero, CompressFrom: Zero}).raw()
	must(t, err)
	want = map[string]uint64{
		"margin_ms": 1<<64 - 1, "undelivered": 1<<64 - 1, "compress_from": 1<<64 - 1,
	}
	if got := numbersOf(reflect.ValueOf(raw.options)); !reflect.DeepEqual(got, want) {
		t.Errorf("zeros %v, want %v", got, want)
	}
}

// Goal: each statistic is what C calls by its name, and none is left out.
// Method: a number of its own in each field of C's.
func TestTierStatsAreWhatTheirNamesSay(t *testing.T) {
	convert := reflect.ValueOf(tierStatsOf)
	raw := reflect.New(convert.Type().In(0).Elem())
	names := map[string]uint64{}
	for i := range raw.Elem().NumField() {
		field := raw.Elem().Type().Field(i)
		at := unsafe.Add(raw.UnsafePointer(), field.Offset)
		switch field.Type.Size() {
		case 8:
			*(*uint64)(at) = uint64(100 + i)
		case 4:
			*(*uint32)(at) = uint32(100 + i)
		}
		if field.Name != "struct_size" && !strings.HasPrefix(field.Name, "_") {
			names[goName(field.Name)] = uint64(100 + i)
		}
	}
	told := convert.Call([]reflect.Value{raw})[0]
	if told.NumField() != len(names) {
		t.Errorf("%d statistics, C has %d", told.NumField(), len(names))
	}
	for name, want := range names {
		got := told.FieldByName(name)
		if !got.IsValid() {
			t.Errorf("there is no %s", name)
		} else if got.Kind() == reflect.Bool && !got.Bool() || got.CanUint() && got.Uint() != want {
			t.Errorf("%s is %v, want %d", name, got, want)
		}
	}
}
