package oncegate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Goal: the binding does what the conformance vectors say, like every other language.
// Method: every vector of every file, on an engine of its own. tests/vectors/README.md says what a
// vector is, and what the environment asks a runner for.
func TestVectors(t *testing.T) {
	folder := os.Getenv("ONCEGATE_VECTORS")
	if folder == "" {
		folder = filepath.Join("..", "..", "tests", "vectors")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors in %s: %v", folder, err)
	}
	slices.Sort(paths)
	var report strings.Builder
	for _, path := range paths {
		for _, vector := range readVectors(t, path) {
			id, _ := vector["id"].(string)
			if err := runVector(vector); err != nil {
				fmt.Fprintf(&report, "failed %s: %s\n", id, strings.ReplaceAll(err.Error(), "\n", " "))
				if os.Getenv("ONCEGATE_VECTORS_TWISTED") != "1" {
					t.Errorf("%s: %v", id, err)
				}
				continue
			}
			fmt.Fprintf(&report, "ok %s\n", id)
		}
	}
	if path := os.Getenv("ONCEGATE_VECTORS_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(report.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func readVectors(t *testing.T, path string) []fields {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []fields }
	decoder := json.NewDecoder(bytes.NewReader(text))
	// A number is compared as it is written.
	decoder.UseNumber()
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return file.Vectors
}

// failed is why a vector does not hold. It ends the vector as a panic, which runVector recovers.
type failed struct{ why string }

func fail(format string, arguments ...any) {
	panic(failed{fmt.Sprintf(format, arguments...)})
}

// runVector runs one vector, and tells at which step it failed, and why.
func runVector(vector fields) (err error) {
	where := "opening"
	defer func() {
		if told := recover(); told != nil {
			if why, ok := told.(failed); ok {
				err = fmt.Errorf("%s: %s", where, why.why)
				return
			}
			panic(told)
		}
	}()
	vector.text("id")
	vector.text("about")
	run := openRun(vector.object("options"))
	defer run.close()
	steps := vector.list("steps")
	vector.finish("vector")
	for at, step := range steps {
		step := asFields("steps", step)
		op := step.text("op")
		where = fmt.Sprintf("step %d, %s", at+1, op)
		expect := step.object("expect")
		settle(run.do(op, step, expect), step, expect)
	}
	return nil
}
