// Package oncegate makes a retried request run once.
package oncegate
