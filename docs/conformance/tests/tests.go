// SPDX-License-Identifier: Apache-2.0

// Package tests has conformance tests of our own, in the style of the official suite, for features that the suite names and has
// no test of.  The scenarios are those that the feature's GEP plans for the suite.
package tests

import (
	"embed"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// Manifests has the files that the tests name.
//
//go:embed *.yaml
var Manifests embed.FS

// All are the tests.
var All = []suite.ConformanceTest{
	BackendTLSPolicyClusterTrustBundle,
	GatewayFrontendClusterTrustBundle,
	GatewayAddressRoutability,
	GatewayAddressRoutabilityCluster,
}
