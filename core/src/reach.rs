//! Reach: who shares a table.

use std::path::PathBuf;

/// Who shares a table: one process, a process and its forked children, or all of a host.
///
/// Whoever shares a table shares its records, its memory and its fencing tokens: a request runs
/// once among all of them. It costs what a private table costs; nothing is sent anywhere, and there
/// is no server. The page *Choosing a reach* in `docs/` says which one fits gunicorn, uvicorn,
/// Celery, systemd and Kubernetes.
///
/// A lease belongs to the process that began it: when that process dies, or drops its engine, the
/// lease lapses at once, by [`OnLapse`](crate::OnLapse), and not after its time. A process that is
/// stopped is not dead; its leases lapse by their time, and when it goes on it is fenced.
///
/// ```
/// use oncegate::{Engine, Reach};
///
/// // A table that workers share which are forked from now on.
/// let engine = Engine::builder().capacity(1_000).reach(Reach::HostInherited).build()?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// This process alone, the default. In a forked child every call answers
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked).
    #[default]
    Process,
    /// This process and all that are forked from it, in memory without a name, which is gone with
    /// the last of them. A child may use the engine at once: its first call gives it an entry of
    /// its own. It never ends what its parent holds.
    HostInherited,
    /// All processes that open the file at this path, related or not, in one container or in
    /// several that share the volume. The first of them makes it. Its records stay when all of them
    /// have ended; on tmpfs (`/dev/shm`) until the machine is started anew, on a disk beyond that,
    /// as far as the kernel has written it back.
    Host(PathBuf),
}

/// Which files are safe to share a table in.
///
/// By default a file is refused that is a symbolic link, belongs to another user, can be read or
/// written by anybody but its owner, or lies on a file system that other machines may share; and so
/// is the key file beside it. Whoever can write to the table can answer requests.
///
/// ```
/// use oncegate::{FileAccess, Engine};
///
/// // Services that run under users of their own and share a group.
/// let access = FileAccess::owner_only().group().foreign_owner(true);
/// let builder = Engine::builder().file_access(access);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct FileAccess {
    pub(crate) mode: u32,
    pub(crate) foreign_owner: bool,
    pub(crate) symlink: bool,
    pub(crate) any_file_system: bool,
}

impl FileAccess {
    /// A file of this process's user, with permissions 0600: the default.
    ///
    /// ```
    /// assert_eq!(oncegate::FileAccess::owner_only(), oncegate::FileAccess::default());
    /// ```
    pub const fn owner_only() -> Self {
        Self { mode: 0o600, foreign_owner: false, symlink: false, any_file_system: false }
    }

    /// Permissions 0660: the file's group may share the table, too.
    ///
    /// ```
    /// let access = oncegate::FileAccess::owner_only().group();
    /// assert_ne!(access, oncegate::FileAccess::owner_only());
    /// ```
    pub const fn group(mut self) -> Self {
        self.mode = 0o660;
        self
    }

    /// Whether the file may belong to another user.
    ///
    /// ```
    /// let _ = oncegate::FileAccess::owner_only().foreign_owner(true);
    /// ```
    pub const fn foreign_owner(mut self, allowed: bool) -> Self {
        self.foreign_owner = allowed;
        self
    }

    /// Whether the path may lead to the file by a symbolic link.
    ///
    /// ```
    /// let _ = oncegate::FileAccess::owner_only().symlink(true);
    /// ```
    pub const fn symlink(mut self, allowed: bool) -> Self {
        self.symlink = allowed;
        self
    }

    /// Whether the file may lie on a file system that is not known to be one machine's own.
    ///
    /// Known are tmpfs, ramfs, ext2 to ext4, xfs, btrfs, zfs, f2fs, bcachefs, jfs, nilfs2 and
    /// overlay. On one that other machines share (NFS, SMB, Ceph, 9p, most of FUSE) this must not
    /// be allowed: each machine would take the processes of the others for dead, and run what they
    /// run.
    ///
    /// ```
    /// let _ = oncegate::FileAccess::owner_only().any_file_system(true);
    /// ```
    pub const fn any_file_system(mut self, allowed: bool) -> Self {
        self.any_file_system = allowed;
        self
    }
}

impl Default for FileAccess {
    fn default() -> Self {
        Self::owner_only()
    }
}
