{{- define "oakum.name" -}}
{{- if contains "oakum" .Release.Name -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- else -}}{{ printf "%s-oakum" (.Release.Name | trunc 44 | trimSuffix "-") }}{{- end -}}
{{- end -}}

{{- define "oakum.labels" -}}
app.kubernetes.io/name: oakum
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "oakum.selector" -}}
app.kubernetes.io/name: oakum
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "oakum.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{- else -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}
