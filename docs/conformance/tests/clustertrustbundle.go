// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/conformance/utils/tls"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// clusterTrustBundle is one in the version that the cluster serves, with the anchors of one of the suite's ConfigMaps.
func clusterTrustBundle(t *testing.T, s *suite.ConformanceTestSuite, name, configMap string) *unstructured.Unstructured {
	t.Helper()
	kind := schema.GroupKind{Group: "certificates.k8s.io", Kind: "ClusterTrustBundle"}
	mapping, err := s.Client.RESTMapper().RESTMapping(kind)
	require.NoError(t, err, "the feature is claimed, and the cluster does not serve the kind")
	anchors, err := kubernetes.GetConfigMapData(s.Client, s.TimeoutConfig, infra(configMap))
	require.NoError(t, err, "error getting ConfigMap")
	bundle := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"trustBundle": anchors["ca.crt"]},
	}}
	bundle.SetGroupVersionKind(mapping.GroupVersionKind)
	bundle.SetName(name)
	return bundle
}

// createBundle creates one that is deleted at the end of the test.
func createBundle(t *testing.T, s *suite.ConformanceTestSuite, name, configMap string) {
	t.Helper()
	bundle := clusterTrustBundle(t, s, name, configMap)
	s.Applier.MustApplyObjectsWithCleanup(t, s.Client, s.TimeoutConfig, []client.Object{bundle}, s.CleanupTestResources)
}

// infra is an object in the namespace of most of the suite's objects.
func infra(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: suite.InfrastructureNamespace, Name: name}
}

// BackendTLSPolicyClusterTrustBundle is what GEP-5075 asks for backends.
var BackendTLSPolicyClusterTrustBundle = suite.ConformanceTest{
	ShortName:   "BackendTLSPolicyClusterTrustBundle",
	Description: "A BackendTLSPolicy may name a ClusterTrustBundle as its trust anchor, which is followed as it comes, changes and goes",
	Features: []features.FeatureName{
		features.SupportGateway,
		features.SupportHTTPRoute,
		features.SupportBackendTLSPolicy,
		features.SupportClusterTrustBundle,
	},
	Manifests: []string{"backendtlspolicy-clustertrustbundle.yaml"},
	Parallel:  true,
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		const comes = "hyperway-conformance-comes"
		routeNN, gwNN := infra("cluster-trust-bundle"), infra("same-namespace")
		createBundle(t, s, "hyperway-conformance-good", "tls-checks-ca-certificate")
		createBundle(t, s, "hyperway-conformance-other", "mismatch-ca-certificate")
		gwAddr := kubernetes.GatewayAndHTTPRoutesMustBeAccepted(t, s.Client, s.TimeoutConfig, s.ControllerName, kubernetes.NewGatewayRef(gwNN), routeNN)
		kubernetes.HTTPRouteMustHaveResolvedRefsConditionsTrue(t, s.Client, s.TimeoutConfig, routeNN, gwNN)

		policyMustHave := func(t *testing.T, policy string, conditions ...metav1.Condition) {
			t.Helper()
			for _, condition := range conditions {
				kubernetes.BackendTLSPolicyMustHaveCondition(t, s.Client, s.TimeoutConfig, infra(policy), gwNN, condition)
			}
		}
		valid := []metav1.Condition{{
			Type:   string(gatewayv1.PolicyConditionAccepted),
			Status: metav1.ConditionTrue,
			Reason: string(gatewayv1.PolicyReasonAccepted),
		}, {
			Type:   string(gatewayv1.BackendTLSPolicyConditionResolvedRefs),
			Status: metav1.ConditionTrue,
			Reason: string(gatewayv1.BackendTLSPolicyReasonResolvedRefs),
		}}
		invalid := []metav1.Condition{{
			Type:   string(gatewayv1.PolicyConditionAccepted),
			Status: metav1.ConditionFalse,
			Reason: string(gatewayv1.BackendTLSPolicyReasonNoValidCACertificate),
		}, {
			Type:   string(gatewayv1.BackendTLSPolicyConditionResolvedRefs),
			Status: metav1.ConditionFalse,
			Reason: string(gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef),
		}}
		expect := func(t *testing.T, path string, statusCodes ...int) {
			t.Helper()
			http.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, gwAddr, http.ExpectedResponse{
				Namespace: suite.InfrastructureNamespace,
				Request:   http.Request{Host: "abc.example.com", Path: path, SNI: "abc.example.com"},
				Response:  http.Response{StatusCodes: statusCodes},
			})
		}

		t.Run("A backend whose certificate the bundle vouches for is asked", func(t *testing.T) {
			policyMustHave(t, "cluster-trust-bundle-good", valid...)
			expect(t, "/cluster-trust-bundle-good", 200)
		})
		t.Run("A backend whose certificate it does not vouch for is not asked", func(t *testing.T) {
			policyMustHave(t, "cluster-trust-bundle-other", valid...)
			expect(t, "/cluster-trust-bundle-other", 500, 502, 503)
		})
		t.Run("A bundle that does not exist is an invalid reference", func(t *testing.T) {
			policyMustHave(t, "cluster-trust-bundle-comes", invalid...)
			expect(t, "/cluster-trust-bundle-comes", 500, 502, 503)
		})
		// The tests below depend on each other: each begins with what the one before has left.
		t.Run("A bundle that comes is used", func(t *testing.T) {
			createOne(t, s, comes, "tls-checks-ca-certificate")
			policyMustHave(t, "cluster-trust-bundle-comes", valid...)
			expect(t, "/cluster-trust-bundle-comes", 200)
		})
		t.Cleanup(func() { deleteOne(t, s, comes) })
		t.Run("A bundle that changes vouches for others", func(t *testing.T) {
			patchOne(t, s, comes, "mismatch-ca-certificate")
			expect(t, "/cluster-trust-bundle-comes", 500, 502, 503)
			policyMustHave(t, "cluster-trust-bundle-comes", valid...)
			patchOne(t, s, comes, "tls-checks-ca-certificate")
			expect(t, "/cluster-trust-bundle-comes", 200)
		})
		t.Run("A bundle that has gone is an invalid reference, and what it said is forgotten", func(t *testing.T) {
			deleteOne(t, s, comes)
			policyMustHave(t, "cluster-trust-bundle-comes", invalid...)
			expect(t, "/cluster-trust-bundle-comes", 500, 502, 503)
		})
		t.Run("A bundle that comes back is used again", func(t *testing.T) {
			createOne(t, s, comes, "tls-checks-ca-certificate")
			policyMustHave(t, "cluster-trust-bundle-comes", valid...)
			expect(t, "/cluster-trust-bundle-comes", 200)
		})
	},
}

// GatewayFrontendClusterTrustBundle is what GEP-5075 asks for clients.
var GatewayFrontendClusterTrustBundle = suite.ConformanceTest{
	ShortName:   "GatewayFrontendClusterTrustBundle",
	Description: "A Gateway may name a ClusterTrustBundle as the trust anchor that the certificates of clients are validated with",
	Features: []features.FeatureName{
		features.SupportGateway,
		features.SupportHTTPRoute,
		features.SupportGatewayFrontendClientCertificateValidation,
		features.SupportClusterTrustBundle,
	},
	Manifests: []string{"gateway-frontend-clustertrustbundle.yaml"},
	Parallel:  true,
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		routeNN, gwNN := infra("frontend-cluster-trust-bundle"), infra("frontend-cluster-trust-bundle")
		createBundle(t, s, "hyperway-conformance-clients", "tls-validity-checks-ca-certificate")
		gwAddr, err := kubernetes.WaitForGatewayAddress(t, s.Client, s.TimeoutConfig, kubernetes.NewGatewayRef(gwNN, "https"))
		require.NoError(t, err, "timed out waiting for Gateway address to be assigned")
		kubernetes.HTTPRouteMustBeAcceptedAndResolved(t, s.Client, s.TimeoutConfig, routeNN, gwNN)

		certificate := func(secret string) ([]byte, []byte) {
			certPem, keyPem, err := kubernetes.GetTLSSecret(s.Client, infra(secret))
			require.NoError(t, err, "error getting the Secret of a certificate")
			return certPem, keyPem
		}
		serverPem, _ := certificate("tls-validity-checks-certificate")
		clientPem, clientKey := certificate("tls-validity-checks-client-certificate")
		strangerPem, strangerKey := certificate("tls-validity-checks-per-port-client-certificate")
		expected := http.ExpectedResponse{
			Request:   http.Request{Host: "example.org", Path: "/"},
			Response:  http.Response{StatusCodes: []int{200}},
			Backend:   suite.InfraBackendServiceNameV1,
			Namespace: suite.InfrastructureNamespace,
		}

		t.Run("A client whose certificate the bundle vouches for is served", func(t *testing.T) {
			kubernetes.GatewayListenerMustHaveConditions(t, s.Client, s.TimeoutConfig, gwNN, "https", []metav1.Condition{
				{Type: string(gatewayv1.ListenerConditionResolvedRefs), Status: metav1.ConditionTrue},
				{Type: string(gatewayv1.ListenerConditionAccepted), Status: metav1.ConditionTrue},
				{Type: string(gatewayv1.ListenerConditionProgrammed), Status: metav1.ConditionTrue},
			})
			tls.MakeTLSRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, gwAddr, serverPem, clientPem, clientKey, "example.org", expected)
		})
		t.Run("A client whose certificate it does not vouch for is refused", func(t *testing.T) {
			tls.MakeTLSRequestAndExpectEventuallyConsistentFailureResponse(t, s.RoundTripper, s.TimeoutConfig, gwAddr, serverPem, strangerPem, strangerKey, "example.org", expected)
		})
		t.Run("A bundle that does not exist takes down the listeners that it is for, and no others", func(t *testing.T) {
			kubernetes.GatewayListenerMustHaveConditions(t, s.Client, s.TimeoutConfig, gwNN, "https-missing", []metav1.Condition{
				{
					Type:   string(gatewayv1.ListenerConditionResolvedRefs),
					Status: metav1.ConditionFalse,
					Reason: string(gatewayv1.ListenerReasonInvalidCACertificateRef),
				},
				{
					Type:   string(gatewayv1.ListenerConditionAccepted),
					Status: metav1.ConditionFalse,
					Reason: string(gatewayv1.ListenerReasonNoValidCACertificate),
				},
				{Type: string(gatewayv1.ListenerConditionProgrammed), Status: metav1.ConditionFalse},
			})
			tls.MakeTLSRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, gwAddr, serverPem, clientPem, clientKey, "example.org", expected)
		})
	},
}

// createOne creates a bundle that stays when the subtest ends.
func createOne(t *testing.T, s *suite.ConformanceTestSuite, name, configMap string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.TimeoutConfig.CreateTimeout)
	defer cancel()
	require.NoError(t, s.Client.Create(ctx, clusterTrustBundle(t, s, name, configMap)), "error creating a ClusterTrustBundle")
}

// patchOne gives a bundle other anchors.
func patchOne(t *testing.T, s *suite.ConformanceTestSuite, name, configMap string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.TimeoutConfig.CreateTimeout)
	defer cancel()
	bundle := clusterTrustBundle(t, s, name, configMap)
	before := bundle.DeepCopy()
	require.NoError(t, s.Client.Get(ctx, types.NamespacedName{Name: name}, before), "error getting a ClusterTrustBundle")
	after := before.DeepCopy()
	after.Object["spec"] = bundle.Object["spec"]
	require.NoError(t, s.Client.Patch(ctx, after, client.MergeFrom(before)), "error patching a ClusterTrustBundle")
}

// deleteOne deletes a bundle, if it is there.
func deleteOne(t *testing.T, s *suite.ConformanceTestSuite, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.TimeoutConfig.DeleteTimeout)
	defer cancel()
	bundle := clusterTrustBundle(t, s, name, "tls-checks-ca-certificate")
	require.NoError(t, client.IgnoreNotFound(s.Client.Delete(ctx, bundle)), "error deleting a ClusterTrustBundle")
}
