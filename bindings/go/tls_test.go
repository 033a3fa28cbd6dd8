package oncegate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// identity is a certificate with its key, both in PEM.
type identity struct {
	certificate, key []byte
	parsed           *x509.Certificate
	private          *ecdsa.PrivateKey
}

// identify makes a certificate that issuer signs, or an authority of its own where there is none.
func identify(t testing.TB, name string, issuer *identity) *identity {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, private
	if issuer != nil {
		parent, signer = issuer.parsed, issuer.private
	} else {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
		template.IPAddresses = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return &identity{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		parsed:      parsed, private: private,
	}
}

// startTLS starts a server that talks TLS, too, with those that show a certificate of root; it
// gives the URL for that.
func startTLS(t testing.TB, root, itself *identity) string {
	t.Helper()
	folder := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, text, 0o600))
		return path
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	must(t, free.Close())
	startRedis(t, "--tls-port", port, "--tls-auth-clients", "yes",
		"--tls-ca-cert-file", file("root", root.certificate),
		"--tls-cert-file", file("certificate", itself.certificate),
		"--tls-key-file", file("key", itself.key))
	return "rediss://127.0.0.1:" + port
}

// Goal: a server is talked to by TLS when it shows a certificate of the authority that is given,
// and is shown the certificate that is given; with any other it is not.
// Method: a server that demands certificates; an authority, and another one of the same name.
func TestServersAndHostsShowCertificates(t *testing.T) {
	root, stranger := identify(t, "root", nil), identify(t, "root", nil)
	url := startTLS(t, root, identify(t, "server", root))
	itself, unknown := identify(t, "host", root), identify(t, "host", stranger)
	with := func(root []byte, shown *identity) *Engine {
		return host(t, url, func(o *TierOptions) {
			o.TLSRoot = root
			if shown != nil {
				o.TLSCertificate, o.TLSKey = shown.certificate, shown.key
			}
		})
	}
	prepare(t, with(root.certificate, itself), "k")
	begin(t, with(root.certificate, itself), charge("k"), Replayed)
	for what, engine := range map[string]*Engine{
		"no authority":          with(nil, itself),
		"another authority":     with(stranger.certificate, itself),
		"no certificate":        with(root.certificate, nil),
		"a certificate unknown": with(root.certificate, unknown),
	} {
		_, err := engine.Begin(context.Background(), charge("k"))
		if !errors.Is(err, ErrTierUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Goal: certificates and keys that are none are refused by name.
// Method: texts that are no PEM in each place; no server is needed.
func TestCertificatesAreRefusedByField(t *testing.T) {
	itself := identify(t, "host", nil)
	none := []byte("none")
	for _, refusal := range []struct {
		field                  string
		root, certificate, key []byte
	}{
		{field: "tier.tls_root", root: none},
		{field: "tier.tls_certificate", certificate: none, key: itself.key},
		{field: "tier.tls_certificate", certificate: itself.certificate, key: none},
		{field: "tier.tls_key", certificate: itself.certificate},
		{field: "tier.tls_certificate", key: itself.key},
	} {
		_, err := Open(Options{Secret: fleetSecret, Tier: &TierOptions{
			URL: "rediss://127.0.0.1:1", TLSRoot: refusal.root,
			TLSCertificate: refusal.certificate, TLSKey: refusal.key,
		}})
		refused(t, err, ErrInvalidConfig, refusal.field)
	}
}

// Goal: a Cluster is used as one, and what is none is not taken for one.
// Method: a Cluster of one node, and a server that is in none.
func TestAClusterIsUsedAsOne(t *testing.T) {
	clustered := func(o *TierOptions) { o.Cluster = true }
	server := startRedis(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
	if said := server.ask("CLUSTER ADDSLOTSRANGE 0 16383"); said != "+OK" {
		t.Fatal(said)
	}
	// A node takes a moment to see that all slots are served.
	eventually(t, "the Cluster is there", func() bool { return server.ask("GET k") == "$-1" })
	prepare(t, host(t, server.url(), clustered), "k")
	begin(t, host(t, server.url(), clustered), charge("k"), Replayed)
	alone := host(t, startRedis(t).url(), clustered)
	if _, err := alone.Begin(context.Background(), charge("k")); !errors.Is(err, ErrTierUnavailable) {
		t.Errorf("error %v", err)
	}
}
