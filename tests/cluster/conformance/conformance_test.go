// SPDX-License-Identifier: Apache-2.0

// Package conformance runs the official Gateway API conformance suite against
// the cluster of $KUBECONFIG.  All flags are the suite's own, but for
// -list-tests, which prints what the suite consists of and runs nothing.
package conformance

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/pkg/consts"
)

var listTests = flag.Bool("list-tests", false, "print the tests of this suite as JSON")

func TestMain(m *testing.M) {
	flag.Parse()
	if !*listTests {
		os.Exit(m.Run())
	}
	type test struct {
		Name        string   `json:"name"`
		Features    []string `json:"features"`
		Provisional bool     `json:"provisional"`
	}
	list := struct {
		Suite string `json:"suite"`
		Tests []test `json:"tests"`
	}{Suite: consts.BundleVersion}
	for _, t := range tests.ConformanceTests {
		entry := test{Name: t.ShortName, Provisional: t.Provisional}
		for _, feature := range t.Features {
			entry.Features = append(entry.Features, string(feature))
		}
		list.Tests = append(list.Tests, entry)
	}
	if err := json.NewEncoder(os.Stdout).Encode(list); err != nil {
		panic(err)
	}
}

func TestConformance(t *testing.T) { conformance.RunConformance(t) }
