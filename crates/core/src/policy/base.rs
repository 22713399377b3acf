//! Packages that images may hold without using them: what distributions build on.
//!
//! Debian's and Ubuntu's packages that are essential, required, or needed by one of those (`debootstrap --variant=minbase`); those of
//! Alpine's and of Red Hat's smallest images; and certificates, which are data.

/// By name pattern, sorted.
#[rustfmt::skip]
pub(super) const PACKAGES: [&str; 115] = [
    "*-release*", "adduser", "alpine-baselayout*", "alpine-keys", "apk-tools", "apt", "base-files", "base-passwd",
    "basesystem", "bash", "bsdutils", "busybox*", "ca-certificates", "ca-certificates-bundle", "coreutils*", "dash",
    "debconf", "debian-archive-keyring", "debianutils", "diffutils", "dpkg", "e2fsprogs", "filesystem", "findutils",
    "gcc-*-base", "glibc*", "gpgv", "grep", "gzip", "hostname", "init-system-helpers", "libacl1", "libapk*",
    "libapt-pkg*", "libattr1", "libaudit*", "libblkid1", "libbz2-1.0", "libc-bin", "libc-utils", "libc6", "libcap-ng0",
    "libcap2", "libcom-err2", "libcrypt1", "libcrypto3", "libdb5.3*", "libdebconfclient0", "libext2fs2*", "libffi8",
    "libgcc", "libgcc-s1", "libgcrypt20", "libgmp10", "libgnutls30*", "libgpg-error0", "libhogweed6*", "libidn2-0",
    "liblz4-1", "liblzma5", "libmd0", "libmount1", "libnettle8*", "libp11-kit0", "libpam-modules",
    "libpam-modules-bin", "libpam-runtime", "libpam0g", "libpcre2-8-0", "libpcre3", "libproc2-0", "libseccomp2",
    "libselinux1", "libsemanage*", "libsepol*", "libsmartcols1", "libss2", "libssl3*", "libstdc++6", "libsystemd0",
    "libtasn1-6", "libtinfo6", "libudev1", "libunistring*", "libuuid1", "libxxhash0", "libzstd1", "login",
    "login.defs", "logsave", "lsb-base", "mawk", "mount", "musl*", "ncurses-*", "openssl-provider-legacy", "passwd",
    "perl-base", "procps", "rpm*", "scanelf", "sed", "sensible-utils", "setup", "sqv", "ssl_client", "sysvinit-utils",
    "tar", "tzdata", "ubuntu-keyring", "usr-is-merged", "usrmerge", "util-linux*", "wolfi-*", "zlib*",
];
