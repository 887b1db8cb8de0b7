/* Who is at the other end of a socket, as far as the kernel vouches for it. */
#include "rpc/service-private.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; Debian 12's headers lack it */
#endif

/*
 * Without SO_PEERPIDFD there is a moment in which the peer may have died and its pid
 * have gone to another process; whoever relies on the process compares start times.
 */
static int peer_pidfd(int fd, pid_t pid)
{
	int pidfd = -1;
	socklen_t len = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0)
		return pidfd;
	if (errno != ENOPROTOOPT || pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int peer_identify(int fd, struct rpc_peer *ret, struct fault *f)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return fault_errno(f, -errno, "cannot tell who connects");
	*ret = (struct rpc_peer){
		.uid = cred.uid,
		.gid = cred.gid,
		.pid = cred.pid,
		.pidfd = peer_pidfd(fd, cred.pid),
	};
	return 0;
}
