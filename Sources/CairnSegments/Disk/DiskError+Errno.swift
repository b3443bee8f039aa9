// Part of Cairn, a content-addressed blob store.

internal import Glibc

extension DiskError {
    /// The error of a system call that failed.
    ///
    /// - Parameters:
    ///   - number: The value of `errno` right after the call.
    ///   - action: What was attempted on what, in words that fit before "failed".
    init(errno number: CInt, _ action: String) {
        self.init(Self.code(of: number), "\(action) failed: \(systemErrorText(number))")
    }

    /// Only those numbers have a code of their own upon which a caller would act differently.
    private static func code(of number: CInt) -> Code {
        switch number {
        case ENOSPC, EDQUOT: .outOfSpace
        case ENOENT: .notFound
        case EEXIST, ENOTEMPTY: .exists
        case EMFILE, ENFILE: .tooManyFiles
        case EROFS: .readOnly
        case EACCES, EPERM: .permission
        case EWOULDBLOCK: .locked
        // ELOOP is what O_NOFOLLOW answers on a symbolic link, ENXIO what a pipe without a reader
        // and a socket answer (man 2 open).
        case ELOOP, ENOTDIR, EISDIR, ENXIO: .notRegularFile
        case EFBIG: .limitExceeded
        case ENAMETOOLONG, EINVAL: .invalidArgument
        default: .io
        }
    }
}
