// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/conformance/utils/tlog"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// Conditions of a Gateway all or none of whose addresses it has got.
var (
	assigned = []metav1.Condition{
		{Type: string(gatewayv1.GatewayConditionAccepted), Status: metav1.ConditionTrue},
		{Type: string(gatewayv1.GatewayConditionProgrammed), Status: metav1.ConditionTrue},
		{Type: string(gatewayv1.GatewayConditionAddressesAssigned), Status: metav1.ConditionTrue},
	}
	notAssigned = []metav1.Condition{{
		Type:   string(gatewayv1.GatewayConditionProgrammed),
		Status: metav1.ConditionFalse,
		Reason: string(gatewayv1.GatewayReasonAddressNotAssigned),
	}, {
		Type:   string(gatewayv1.GatewayConditionAddressesAssigned),
		Status: metav1.ConditionFalse,
		Reason: string(gatewayv1.GatewayReasonAddressesNotAssigned),
	}}
)

// createGateway creates one that asks for addresses.  It is not in the manifest, because what the suite applies loses the
// routability of addresses.
func createGateway(t *testing.T, s *suite.ConformanceTestSuite, name string, addresses ...gatewayv1.GatewaySpecAddress) {
	t.Helper()
	gateway := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: suite.InfrastructureNamespace, Name: name},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: gatewayv1.ObjectName(s.GatewayClassName),
			Addresses:        addresses,
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}
	s.Applier.MustApplyObjectsWithCleanup(t, s.Client, s.TimeoutConfig, []client.Object{gateway}, s.CleanupTestResources)
}

// addressOf is a request for an address of a routability.
func addressOf(routability gatewayv1.GatewayAddressRoutabilityType) gatewayv1.GatewaySpecAddress {
	return gatewayv1.GatewaySpecAddress{Type: ptr.To(gatewayv1.IPAddressType), Routability: routability}
}

// gatewayMustHave waits for each of the conditions.
func gatewayMustHave(t *testing.T, s *suite.ConformanceTestSuite, gateway string, conditions []metav1.Condition) {
	t.Helper()
	kubernetes.GatewayMustHaveLatestConditions(t, s.Client, s.TimeoutConfig, infra(gateway))
	for _, condition := range conditions {
		kubernetes.GatewayMustHaveCondition(t, s.Client, s.TimeoutConfig, infra(gateway), condition)
	}
}

// gatewayMustHaveAddresses waits until the addresses of a Gateway have these routabilities, in whatever order, and returns the
// addresses.  With "" any is right that says its routability.
func gatewayMustHaveAddresses(t *testing.T, s *suite.ConformanceTestSuite, gateway string, wanted ...gatewayv1.GatewayAddressRoutabilityType) []gatewayv1.GatewayStatusAddress {
	t.Helper()
	return awaitAddresses(t, s, gateway, func(addresses []gatewayv1.GatewayStatusAddress) bool {
		return haveRoutabilities(addresses, wanted)
	})
}

// awaitAddresses waits until the addresses of a Gateway are as they should be, and returns them.
func awaitAddresses(t *testing.T, s *suite.ConformanceTestSuite, gateway string, good func([]gatewayv1.GatewayStatusAddress) bool) []gatewayv1.GatewayStatusAddress {
	t.Helper()
	var addresses []gatewayv1.GatewayStatusAddress
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), s.TimeoutConfig.GetTimeout)
		defer cancel()
		gw := &gatewayv1.Gateway{}
		if err := s.Client.Get(ctx, infra(gateway), gw); err != nil {
			tlog.Logf(t, "error getting Gateway: %v", err)
			return false
		}
		addresses = gw.Status.Addresses
		return good(addresses)
	}, s.TimeoutConfig.GatewayListenersMustHaveConditions, s.TimeoutConfig.DefaultPollInterval, "Gateway %s has other addresses", gateway)
	return addresses
}

func haveRoutabilities(addresses []gatewayv1.GatewayStatusAddress, wanted []gatewayv1.GatewayAddressRoutabilityType) bool {
	counts := map[gatewayv1.GatewayAddressRoutabilityType]int{}
	for _, address := range addresses {
		if address.Routability == nil {
			return false
		}
		counts[*address.Routability]++
	}
	anyOne := 0
	for _, routability := range wanted {
		if routability == "" {
			anyOne++
		} else if counts[routability]--; counts[routability] < 0 {
			return false
		}
	}
	// Whoever asks for no routability gets the default one, or Cluster.
	return len(addresses) == len(wanted) && counts[""]+counts[gatewayv1.GatewayAddressRoutabilityCluster] == anyOne
}

// GatewayAddressRoutability is what GEP-5093 asks of who knows routabilities at all.
var GatewayAddressRoutability = suite.ConformanceTest{
	ShortName:   "GatewayAddressRoutability",
	Description: "A Gateway tells the routability of each of its addresses, and whether it has got those that it asks for",
	Features: []features.FeatureName{
		features.SupportGateway,
		features.SupportGatewayAddressRoutability,
	},
	Parallel: true,
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		t.Run("Addresses that nobody asks for say their routability", func(t *testing.T) {
			createGateway(t, s, "routability-none")
			gatewayMustHaveAddresses(t, s, "routability-none", "")
			gatewayMustHave(t, s, "routability-none", assigned)
		})
		t.Run("An address without a routability says its own", func(t *testing.T) {
			createGateway(t, s, "routability-unset", addressOf(""))
			gatewayMustHaveAddresses(t, s, "routability-unset", "")
			gatewayMustHave(t, s, "routability-unset", assigned)
		})
		t.Run("The routability for tests is to be had", func(t *testing.T) {
			createGateway(t, s, "routability-sentinel", addressOf("testing.x-k8s.io/sentinel"))
			gatewayMustHaveAddresses(t, s, "routability-sentinel", "testing.x-k8s.io/sentinel")
			gatewayMustHave(t, s, "routability-sentinel", assigned)
		})
		t.Run("A routability that is reserved is not", func(t *testing.T) {
			createGateway(t, s, "routability-reserved", addressOf("testing.x-k8s.io/other"))
			gatewayMustHave(t, s, "routability-reserved", notAssigned)
			gatewayMustHaveAddresses(t, s, "routability-reserved")
		})
	},
}

// GatewayAddressRoutabilityCluster is what GEP-5093 asks of who has addresses within the cluster.
var GatewayAddressRoutabilityCluster = suite.ConformanceTest{
	ShortName:   "GatewayAddressRoutabilityCluster",
	Description: "A Gateway that asks for addresses of routability Cluster gets ClusterIPs, and answers there",
	Features: []features.FeatureName{
		features.SupportGateway,
		features.SupportHTTPRoute,
		features.SupportGatewayStaticAddresses,
		features.SupportGatewayAddressRoutability,
		features.SupportGatewayAddressRoutabilityCluster,
	},
	Manifests: []string{"gateway-address-routability-cluster.yaml"},
	Parallel:  true,
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		const cluster = gatewayv1.GatewayAddressRoutabilityCluster
		createGateway(t, s, "routability-cluster", addressOf(cluster))
		t.Run("What it gets are ClusterIPs, and answer", func(t *testing.T) {
			addresses := awaitAddresses(t, s, "routability-cluster", func(addresses []gatewayv1.GatewayStatusAddress) bool {
				return len(addresses) > 0 && !slices.ContainsFunc(addresses, func(address gatewayv1.GatewayStatusAddress) bool {
					return address.Routability == nil || *address.Routability != cluster
				})
			})
			for _, address := range addresses {
				mustBeClusterIP(t, s, address.Value)
				http.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, net.JoinHostPort(address.Value, "80"), http.ExpectedResponse{
					Request:   http.Request{Path: "/"},
					Response:  http.Response{StatusCodes: []int{200}},
					Backend:   suite.InfraBackendServiceNameV1,
					Namespace: suite.InfrastructureNamespace,
				})
			}
		})
		t.Run("It gets one, and its Gateway says so", func(t *testing.T) {
			gatewayMustHaveAddresses(t, s, "routability-cluster", cluster)
			gatewayMustHave(t, s, "routability-cluster", assigned)
		})
		t.Run("Each of two that are asked for is there", func(t *testing.T) {
			createGateway(t, s, "routability-both", addressOf(""), addressOf(cluster))
			for _, address := range gatewayMustHaveAddresses(t, s, "routability-both", "", cluster) {
				if *address.Routability == cluster {
					mustBeClusterIP(t, s, address.Value)
				}
			}
			gatewayMustHave(t, s, "routability-both", assigned)
		})
		t.Run("An address that is no ClusterIP is not to be had", func(t *testing.T) {
			outside := addressOf(cluster)
			outside.Value = "192.0.2.1"
			createGateway(t, s, "routability-outside", outside)
			gatewayMustHave(t, s, "routability-outside", notAssigned)
			gatewayMustHaveAddresses(t, s, "routability-outside")
		})
	},
}

// mustBeClusterIP looks an address up in the ServiceCIDRs of the cluster.
func mustBeClusterIP(t *testing.T, s *suite.ConformanceTestSuite, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.TimeoutConfig.GetTimeout)
	defer cancel()
	ranges, err := s.Clientset.NetworkingV1().ServiceCIDRs().List(ctx, metav1.ListOptions{})
	require.NoError(t, err, "error listing ServiceCIDRs")
	ip, err := netip.ParseAddr(address)
	require.NoError(t, err, "the address is no IP address")
	for _, item := range ranges.Items {
		for _, text := range item.Spec.CIDRs {
			if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Contains(ip) {
				return
			}
		}
	}
	require.Failf(t, "no ClusterIP", "%s is in none of the cluster's ServiceCIDRs", address)
}
