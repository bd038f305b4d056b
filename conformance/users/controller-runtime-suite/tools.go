//go:build tools

// Package tools keeps what the library's own tests need in go.mod.
package tools

import (
	_ "github.com/google/gofuzz"
	_ "github.com/onsi/ginkgo/v2"
	_ "github.com/onsi/gomega"
	_ "sigs.k8s.io/controller-runtime/pkg/envtest"
)
