{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{- define "hyperway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "hyperway.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "hyperway.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "hyperway.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Has the mode a controller, which writes a snapshot? Text: empty means no. */}}
{{- define "hyperway.hasSnapshot" -}}
{{- if has .Values.mode (list "snapshot-shared" "snapshot-deployed" "sidecar") }}yes{{ end }}
{{- end }}

{{/* Has each Gateway a snapshot and data planes of its own, made by hyperway? */}}
{{- define "hyperway.perGateway" -}}
{{- if eq .Values.mode "snapshot-deployed" }}yes{{ end }}
{{- end }}

{{/* Do we run what serves? */}}
{{- define "hyperway.hasDataPlane" -}}
{{- if has .Values.mode (list "direct" "merged" "snapshot-shared") }}yes{{ end }}
{{- end }}

{{/* Does each Gateway get a Service, made by hyperway? */}}
{{- define "hyperway.makesServices" -}}
{{- if has .Values.mode (list "direct" "snapshot-shared" "snapshot-deployed") }}yes{{ end }}
{{- end }}

{{- define "hyperway.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "hyperway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hyperway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hyperway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "hyperway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "hyperway.snapshotName" -}}
{{- default (include "hyperway.fullname" .) .Values.snapshot.name }}
{{- end }}

{{- define "hyperway.dataPlaneAccount" -}}
{{- if eq .Values.mode "sidecar" }}
{{- .Values.sidecar.serviceAccount }}
{{- else }}
{{- default (include "hyperway.fullname" .) .Values.dataPlane.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "hyperway.dataPlaneNamespace" -}}
{{- if eq .Values.mode "sidecar" }}{{ .Values.sidecar.namespace }}{{ else }}{{ .Release.Namespace }}{{ end }}
{{- end }}

{{- define "hyperway.controllerAccount" -}}
{{- default (printf "%s-controller" (include "hyperway.fullname" .)) .Values.controller.serviceAccount.name }}
{{- end }}

{{/* Leases of an installation with another controller name end with a hash of it (docs/kubernetes.md). */}}
{{- define "hyperway.leaseSuffix" -}}
{{- if ne .Values.controllerName "hyperway.arloor.dev/gateway-controller" }}-{{ sha256sum .Values.controllerName | trunc 8 }}{{ end }}
{{- end }}

{{- define "hyperway.leases" -}}
- hyperway-status{{ include "hyperway.leaseSuffix" . }}
{{- if include "hyperway.makesServices" . }}
- hyperway-services{{ include "hyperway.leaseSuffix" . }}
{{- end }}
{{- if include "hyperway.perGateway" . }}
- hyperway-snapshots{{ include "hyperway.leaseSuffix" . }}
{{- else if include "hyperway.hasSnapshot" . }}
- hyperway-snapshot-{{ include "hyperway.snapshotName" . }}
{{- end }}
{{- end }}

{{/* What both processes have in their configuration. */}}
{{- define "hyperway.commonConfig" -}}
controller_name: {{ .Values.controllerName }}
admin:
  address: 0.0.0.0:9180
{{- with .Values.plugins.files }}
plugins:
{{- range . }}
  - {{ toJson (merge (dict) . (dict "path" (printf "/plugins/%s.so" .name))) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What shapes the data planes of all Gateways (docs/deployed.md), out of what shapes those of other modes. */}}
{{- define "hyperway.gatewayValues" -}}
{{- $image := dict "repository" .Values.image.repository "tag" (default .Chart.AppVersion .Values.image.tag) "pullPolicy" .Values.image.pullPolicy }}
{{- with .Values.image.digest }}{{ $_ := set $image "digest" . }}{{ end }}
{{- $secrets := list }}
{{- range .Values.imagePullSecrets }}{{ $secrets = append $secrets .name }}{{ end }}
{{- with $secrets }}{{ $_ := set $image "pullSecrets" . }}{{ end }}
{{- $made := dict "image" $image "service" (dict "type" .Values.gatewayServices.type) "drain" .Values.drain }}
{{- range list "replicas" "autoscaling" "podDisruptionBudget" "resources" "nodeSelector" "tolerations" "affinity" "priorityClassName" "podLabels" "podAnnotations" }}
{{- $value := index $.Values.dataPlane . }}
{{- if $value }}{{ $_ := set $made . $value }}{{ end }}
{{- end }}
{{- toYaml (mergeOverwrite (deepCopy $made) (deepCopy (default (dict) .Values.gatewayValues))) }}
{{- end }}

{{- define "hyperway.deployerSink" -}}
plugin: gateway_deployer
config:
  {{- if include "hyperway.perGateway" . }}
  shape: deployed
  values:
    {{- include "hyperway.gatewayValues" . | nindent 4 }}
  {{- else }}
  pods_service: {{ .Release.Namespace }}/{{ include "hyperway.fullname" . }}-pods
  type: {{ .Values.gatewayServices.type }}
  {{- end }}
  target_ports: {{ .Values.gatewayServices.targetPorts }}
{{- end }}

{{- define "hyperway.snapshotSource" -}}
plugin: snapshot_source
config:
  name: {{ include "hyperway.snapshotName" . }}
  namespace: {{ .Release.Namespace }}
  {{- if .Values.dataPlane.cache.enabled }}
  cache: /run/hyperway/cache
  {{- end }}
{{- end }}

{{- define "hyperway.drainConfig" -}}
drain:
  delay: {{ .Values.drain.delaySeconds }}s
  deadline: {{ .Values.drain.deadlineSeconds }}s
{{- end }}

{{/* The configuration of what serves; the user's own keys win. */}}
{{- define "hyperway.dataPlaneConfig" -}}
{{- $made := fromYaml (include "hyperway.commonConfig" .) }}
{{- $_ := mergeOverwrite $made (fromYaml (include "hyperway.drainConfig" .)) }}
{{- if include "hyperway.hasSnapshot" . }}
{{- $_ := set $made "sources" (list (fromYaml (include "hyperway.snapshotSource" .))) }}
{{- else }}
{{- $_ := set $made "sources" (list (dict "plugin" "k8s_source")) }}
{{- end }}
{{- if eq .Values.mode "direct" }}
{{- $_ := set $made "sinks" (list (dict "plugin" "proxy") (fromYaml (include "hyperway.deployerSink" .))) }}
{{- $_ := set $made "gateways" (dict "addresses" "services") }}
{{- else if eq .Values.mode "merged" }}
{{- $_ := set $made "gateways" (dict "addresses" "merged" "service" (printf "%s/%s" .Release.Namespace (include "hyperway.fullname" .))) }}
{{- $listen := dict }}
{{- range .Values.service.ports }}
{{- $_ := set $listen (toString .port) (list (printf "0.0.0.0:%d" (int .targetPort)) (printf "[::]:%d" (int .targetPort))) }}
{{- end }}
{{- $_ := set $made "listen" $listen }}
{{- else if eq .Values.mode "sidecar" }}
{{- $listen := dict }}
{{- range $port, $target := .Values.sidecar.listen }}
{{- $_ := set $listen (toString $port) (list (printf "0.0.0.0:%d" (int $target)) (printf "[::]:%d" (int $target))) }}
{{- end }}
{{- $_ := set $made "listen" $listen }}
{{- end }}
{{- toYaml (mergeOverwrite $made (deepCopy .Values.config)) }}
{{- end }}

{{/* The configuration of the controller. */}}
{{- define "hyperway.controllerConfig" -}}
{{- $made := fromYaml (include "hyperway.commonConfig" .) }}
{{- $_ := set $made "sources" (list (dict "plugin" "k8s_source")) }}
{{- $sink := dict "name" (include "hyperway.snapshotName" .) "namespace" .Release.Namespace "data_plane_account" (printf "%s/%s" (include "hyperway.dataPlaneNamespace" .) (include "hyperway.dataPlaneAccount" .)) }}
{{- if include "hyperway.perGateway" . }}
{{- if or .Values.plugins.files .Values.plugins.initContainers }}
{{- fail "plugins: data planes of a Gateway's own (mode snapshot-deployed) cannot have plugins of yours; use an image that has them" }}
{{- end }}
{{- $sink = dict "snapshots" "per-gateway" }}
{{- end }}
{{- $sinks := list (dict "plugin" "snapshot_sink" "config" $sink) }}
{{- if include "hyperway.perGateway" . }}
{{- $sinks = append $sinks (fromYaml (include "hyperway.deployerSink" .)) }}
{{- $_ := set $made "gateways" (dict "addresses" "deployed") }}
{{- else if include "hyperway.makesServices" . }}
{{- $sinks = append $sinks (fromYaml (include "hyperway.deployerSink" .)) }}
{{- $_ := set $made "gateways" (dict "addresses" "services") }}
{{- else if .Values.sidecar.service }}
{{- $_ := set $made "gateways" (dict "addresses" "merged" "service" .Values.sidecar.service) }}
{{- end }}
{{- $_ := set $made "sinks" $sinks }}
{{- toYaml (mergeOverwrite $made (deepCopy .Values.controllerConfig)) }}
{{- end }}

{{/*
A Deployment: (dict "root" $ "component" "gateway" "name" NAME "values" .Values.dataPlane "account" NAME "container" NAME
"command" PATH "file" FILE "config" TEXT).
*/}}
{{- define "hyperway.deployment" -}}
{{- $root := .root }}
{{- $values := .values }}
{{- $plugins := $root.Values.plugins }}
{{- $serves := eq .component "gateway" }}
{{- $cache := and $serves (include "hyperway.hasSnapshot" $root) $values.cache.enabled }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "hyperway.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not (and $serves $values.autoscaling.enabled) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  strategy:
    {{- toYaml $values.strategy | nindent 4 }}
  selector:
    matchLabels:
      {{- include "hyperway.selectorLabels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "hyperway.selectorLabels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
        {{- with $root.Values.commonLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        {{- if $root.Values.rollOnConfigChange }}
        checksum/config: {{ sha256sum .config }}
        {{- end }}
        {{- if $root.Values.metrics.annotations }}
        prometheus.io/scrape: "true"
        prometheus.io/port: "9180"
        {{- end }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ .account }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- if $serves }}
      # The drain, and some seconds more.
      terminationGracePeriodSeconds: {{ add $root.Values.drain.delaySeconds $root.Values.drain.deadlineSeconds 10 }}
      {{- end }}
      securityContext:
        {{- toYaml $root.Values.podSecurityContext | nindent 8 }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if $values.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- $selector := dict "matchLabels" (merge (dict "app.kubernetes.io/component" .component) (fromYaml (include "hyperway.selectorLabels" $root))) }}
        {{- range $values.topologySpreadConstraints }}
        - {{ toJson (merge (dict) . (dict "labelSelector" $selector)) }}
        {{- end }}
      {{- end }}
      {{- with $plugins.initContainers }}
      initContainers:
        {{- range . }}
        {{- $mounts := append (default (list) .volumeMounts) (dict "name" "plugins" "mountPath" "/plugins") }}
        {{- $more := dict "volumeMounts" $mounts }}
        {{- if not .securityContext }}{{ $_ := set $more "securityContext" $root.Values.securityContext }}{{ end }}
        - {{ toJson (merge $more .) }}
        {{- end }}
      {{- end }}
      containers:
        - name: {{ .container }}
          image: {{ include "hyperway.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [{{ .command }}]
          args:
            - run
            - --config
            - /etc/hyperway/{{ .file }}
            {{- with $values.extraArgs }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          env:
            # Who it is in Leases, and in the status of a snapshot.
            - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
            {{- with $values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with $values.extraEnvFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - name: probes
              containerPort: 9180
          startupProbe:
            httpGet: {path: /healthz, port: probes}
            {{- toYaml $root.Values.probes.startup | nindent 12 }}
          livenessProbe:
            httpGet: {path: /healthz, port: probes}
            {{- toYaml $root.Values.probes.liveness | nindent 12 }}
          readinessProbe:
            httpGet: {path: /readyz, port: probes}
            {{- toYaml $root.Values.probes.readiness | nindent 12 }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            {{- toYaml $root.Values.securityContext | nindent 12 }}
          volumeMounts:
            - {name: configuration, mountPath: /etc/hyperway, readOnly: true}
            {{- if $cache }}
            - {name: cache, mountPath: /run/hyperway}
            {{- end }}
            {{- if or $plugins.files $plugins.initContainers }}
            - {name: plugins, mountPath: /plugins, readOnly: true}
            {{- end }}
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- with $values.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - name: configuration
          configMap: {name: {{ include "hyperway.fullname" $root }}}
        {{- if $cache }}
        # Keys of certificates too: in memory, and gone with the Pod.
        - name: cache
          emptyDir: {medium: Memory, sizeLimit: {{ $values.cache.sizeLimit }}}
        {{- end }}
        {{- if or $plugins.files $plugins.initContainers }}
        - {{ toJson (merge (dict "name" "plugins") (default (dict "emptyDir" (dict)) $plugins.volume)) }}
        {{- end }}
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}
