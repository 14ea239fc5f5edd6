//go:build !linux

package proxy

func (c *conn) writeMore(p []byte) (int, error) { return c.TCPConn.Write(p) }
