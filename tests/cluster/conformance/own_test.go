// SPDX-License-Identifier: Apache-2.0

//go:build !without_own

package conformance

import (
	"flag"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	own "hyperway/docs/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

var alsoClaimed = flag.String("own-features", "", "features that our own tests take as claimed, whatever the GatewayClass says")

func init() { ownTests = own.All }

// TestOwn runs our tests in a suite of their own: the official one and its report do not see them.
func TestOwn(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.ManifestFS = append(options.ManifestFS, own.Manifests)
	s, err := suite.NewConformanceTestSuite(options)
	require.NoError(t, err, "error initializing conformance suite")
	s.SupportedFeatures.Insert(suite.ParseSupportedFeaturesSlice(*alsoClaimed)...)
	// Without a test that will run there is no need of what the tests stand on.
	if slices.ContainsFunc(own.All, func(test suite.ConformanceTest) bool {
		return s.SupportedFeatures.HasAll(test.Features...) && !s.SkipTests.Has(test.ShortName)
	}) {
		s.Setup(t, own.All)
	}
	require.NoError(t, s.Run(t, own.All))
}
