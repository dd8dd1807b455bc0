// SPDX-License-Identifier: Apache-2.0
// Compiled into the runner of the suite, tests/cluster/conformance, whose go.mod and go.sum have all versions.
module hyperway/docs/conformance/tests

go 1.27.0

require (
	github.com/stretchr/testify v1.12.1
	k8s.io/apimachinery v0.37.1
	k8s.io/utils v0.0.0-20260626114624-be93311217bd
	sigs.k8s.io/controller-runtime v0.25.2
	sigs.k8s.io/gateway-api v1.7.0
	sigs.k8s.io/gateway-api/conformance v1.7.0
)
