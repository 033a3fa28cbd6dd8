package oncegate

import (
	"fmt"
	"testing"
)

// Goal: a status means what the published rules of each system say.
// Method: one of each kind, for each preset; a status that is overruled; a preset that is none.
func TestPresetsJudge(t *testing.T) {
	const f, r = JudgedFinal, JudgedRetryable
	statuses := []uint16{200, 301, 400, 401, 409, 429, 500, 503}
	for preset, want := range map[OutcomePreset][]Judgement{
		OutcomesIETF:     {f, f, f, r, r, r, r, r},
		OutcomesStripeV1: {f, f, f, f, r, r, f, f},
		OutcomesStripeV2: {f, f, r, r, r, r, r, r},
		OutcomesOASIS:    {f, f, f, f, f, f, r, r},
		OutcomesIceberg:  {f, r, f, r, f, r, r, r},
	} {
		policy := OutcomePolicy{Preset: preset, Statuses: map[uint16]Judgement{418: JudgedInDoubt}}
		for i, status := range statuses {
			if got := policy.Judge(status); got != want[i] {
				t.Errorf("preset %d, %d: %v, want %v", preset, status, got, want[i])
			}
		}
		if got := policy.Judge(418); got != JudgedInDoubt {
			t.Errorf("preset %d: %v", preset, got)
		}
	}
	none := OutcomePolicy{Preset: 99}
	if got := none.Judge(200); got != JudgedInDoubt {
		t.Errorf("%v", got)
	}
}

// Goal: what is said of requests and attempts reads well in a log.
// Method: a name of each kind, and a number that later versions may give.
func TestNames(t *testing.T) {
	for want, value := range map[string]fmt.Stringer{
		"Replayed": Replayed, "Verdict99": Verdict(99), "Retried": Retried, "How99": How(99),
		"Fill": EventFill, "Stuck": EventStuck, "Event99": EventKind(99), "Lapsed": EndLapsed,
		"GivenBack": EndGivenBack, "End99": AttemptEnd(99), "InDoubt": JudgedInDoubt,
		"Final": JudgedFinal, "Retryable": JudgedRetryable, "Judgement99": Judgement(99),
		"Budget": BuriedBudget, "Buried99": BuriedReason(99), "17-3": LetterID{17, 3},
		"SingleTenant": SingleTenant, "Unauthenticated": Unauthenticated,
		"Tenant(4 bytes)": Tenant("acme"),
	} {
		if got := value.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Status(99).Name() + " " + Status(99).Error(); got != "Status99 oncegate: unknown status 99" {
		t.Errorf("%q", got)
	}
}
