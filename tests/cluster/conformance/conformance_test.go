// SPDX-License-Identifier: Apache-2.0

// Package conformance runs the official Gateway API conformance suite against
// the cluster of $KUBECONFIG.  All flags are the suite's own, but for
// -list-tests, which prints what the suite consists of and runs nothing, and
// those of own_test.go, which runs tests of ours behind it.
package conformance

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/consts"
)

var listTests = flag.Bool("list-tests", false, "print the tests of this suite as JSON")

// ownTests are those of own_test.go, which older suites are built without.
var ownTests []suite.ConformanceTest

type test struct {
	Name        string   `json:"name"`
	Features    []string `json:"features"`
	Provisional bool     `json:"provisional"`
}

func listed(all []suite.ConformanceTest) []test {
	list := []test{}
	for _, t := range all {
		entry := test{Name: t.ShortName, Provisional: t.Provisional}
		for _, feature := range t.Features {
			entry.Features = append(entry.Features, string(feature))
		}
		list = append(list, entry)
	}
	return list
}

func TestMain(m *testing.M) {
	flag.Parse()
	if !*listTests {
		os.Exit(m.Run())
	}
	list := struct {
		Suite string `json:"suite"`
		Tests []test `json:"tests"`
		Own   []test `json:"own"`
	}{Suite: consts.BundleVersion, Tests: listed(tests.ConformanceTests), Own: listed(ownTests)}
	if err := json.NewEncoder(os.Stdout).Encode(list); err != nil {
		panic(err)
	}
}

func TestConformance(t *testing.T) { conformance.RunConformance(t) }
