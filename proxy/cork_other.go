//go:build !linux

package proxy

func (c *conn) push() { c.left.Store(false) }

func (c *conn) writeMore(p []byte) (int, error) { return c.TCPConn.Write(p) }
