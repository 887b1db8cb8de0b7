/* What the files of store share. */
#ifndef GIT_STORE_PRIVATE_H
#define GIT_STORE_PRIVATE_H

#define STORE_REMOTES	  "refs/remotes/origin/"
#define STORE_ORIGIN_HEAD "refs/remotes/origin/HEAD"
#define STORE_REFSPEC	  "+refs/heads/*:refs/remotes/origin/*"

#endif
