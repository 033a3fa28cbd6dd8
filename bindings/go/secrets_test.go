package oncegate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// secrets are what options may hold and nothing may show; no two have a part in common.
type secrets struct {
	password, sentinelPassword                   string
	encryptionKey, retiringKey, tlsKey, own, old []byte
}

func someSecrets() secrets {
	of := func(word string) []byte { return []byte(strings.Repeat(word, 8))[:32] }
	return secrets{
		password: "hunter2", sentinelPassword: "swordfish", encryptionKey: of("alpha"),
		retiringKey: of("bravo"), tlsKey: of("charlie"), own: of("delta"), old: of("echoes"),
	}
}

// options hold all of them.
func (s *secrets) options(url string) Options {
	return Options{
		Capacity: 1_234, Secret: s.own, RetiringSecret: s.old,
		RetryPolicy: &RetryPolicy{MaxAttempts: 7}, Tier: &TierOptions{
			URL: url, Prefix: "shop:", EncryptionKey: s.encryptionKey, RetiringKey: s.retiringKey,
			TLSKey: s.tlsKey, Sentinels: []string{"redis://:" + s.sentinelPassword + "@10.0.0.1"},
		},
	}
}

// shown is a secret that a text shows: as it is, or as Go writes bytes in numbers or in base64.
func (s *secrets) shown(text string) string {
	for _, secret := range []string{
		s.password, s.sentinelPassword, string(s.encryptionKey), string(s.retiringKey),
		string(s.tlsKey), string(s.own), string(s.old),
	} {
		bytes := []byte(secret)
		for _, form := range []string{
			secret, base64.StdEncoding.EncodeToString(bytes), fmt.Sprintf("%x", bytes),
			strings.Trim(fmt.Sprint(bytes), "[]"), strings.TrimPrefix(fmt.Sprintf("%#v", bytes), "[]byte"),
		} {
			if strings.Contains(text, form) {
				return secret
			}
		}
	}
	return ""
}

// written is a value as what logs and prints write it, by what writes it.
func written(t *testing.T, value any) map[string]string {
	t.Helper()
	said := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		said[verb] = fmt.Sprintf(verb, value)
	}
	var text, lines strings.Builder
	for _, log := range []*slog.Logger{
		slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&lines, nil)),
	} {
		log.Info("opening", "value", value, slog.Group("group", "value", value), "list", []any{value})
	}
	said["text"], said["lines"] = text.String(), lines.String()
	encoded, err := json.Marshal(value)
	must(t, err)
	said["json"] = string(encoded)
	encoded, err = xml.Marshal(value)
	must(t, err)
	said["xml"] = string(encoded)
	return said
}

// Goal: options that are logged or printed, alone or in something else, show none of their secrets,
// and do say what else they are.
// Method: values and pointers, and structs that hold them, by what prints, logs and encodes.
func TestOptionsThatAreWrittenShowNoSecret(t *testing.T) {
	secrets := someSecrets()
	options := secrets.options("redis://app:" + secrets.password + "@127.0.0.1:6379")
	tier := *options.Tier
	type config struct {
		Options  Options
		Engine   *Options
		Tier     TierOptions
		TierHere *TierOptions
	}
	all := config{options, &options, tier, &tier}
	ofTier, ofEngine := "TierOptions(prefix shop:)", "Capacity 1234, Secret of 32 bytes"
	for _, c := range []struct {
		what  string
		value any
		says  []string
	}{
		{"a tier", tier, []string{ofTier}},
		{"its address", &tier, []string{ofTier}},
		{"options", options, []string{ofTier, ofEngine, "MaxAttempts:7"}},
		{"their address", &options, []string{ofTier, ofEngine, "MaxAttempts:7"}},
		{"a struct", all, []string{ofTier, ofEngine, "MaxAttempts:7"}},
		{"a struct's address", &all, []string{ofTier, ofEngine, "MaxAttempts:7"}},
	} {
		for by, text := range written(t, c.value) {
			if secret := secrets.shown(text); secret != "" {
				t.Errorf("%s by %s shows %q: %s", c.what, by, secret, text)
			}
			for _, word := range c.says {
				if !strings.Contains(text, word) {
					t.Errorf("%s by %s does not say %s: %s", c.what, by, word, text)
				}
			}
		}
	}
	// A handler of somebody else's may ask in no other way.
	for _, value := range []any{tier, &tier, options, &options} {
		if kind := slog.AnyValue(value).Resolve().Kind(); kind != slog.KindString {
			t.Errorf("%T is logged as %v", value, kind)
		}
	}
	if told := fmt.Sprint(Options{}); told != "Options()" {
		t.Error(told)
	}
	for by, text := range written(t, config{}) {
		if strings.Contains(text, "PANIC") {
			t.Errorf("nothing by %s: %s", by, text)
		}
	}
}

// Goal: no error shows a password.
// Method: an URL that is refused; a server that refuses the password, and one that is not there.
func TestNothingShowsThePassword(t *testing.T) {
	secrets := someSecrets()
	server := startRedis(t, "--requirepass", "another")
	for _, url := range []string{
		"redis://app:" + secrets.password + "@[bad",
		"redis://:" + secrets.password + "@" + server.address(),
		"redis://:" + secrets.password + "@127.0.0.1:1",
	} {
		options := secrets.options(url)
		options.Tier.TLSKey, options.Tier.Sentinels, options.RetiringSecret = nil, nil, nil
		engine, err := Open(options)
		if err == nil {
			_, err = engine.Begin(context.Background(), charge("k"))
			must(t, engine.Close())
		}
		if err == nil {
			t.Error("it was answered")
		}
		for by, text := range written(t, err) {
			if secret := secrets.shown(text); secret != "" {
				t.Errorf("%v by %s shows %q: %s", err, by, secret, text)
			}
		}
	}
}
