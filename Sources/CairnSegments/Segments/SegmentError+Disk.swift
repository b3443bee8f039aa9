// Part of Cairn, a content-addressed blob store.

extension SegmentError {
    /// The error of a segment store whose disk failed.
    ///
    /// - Parameter action: What was attempted on what, in words that fit before "failed".
    init(_ error: DiskError, _ action: String) {
        self.init(Self.code(of: error.code), "\(action) failed", cause: error)
    }

    private static func code(of code: DiskError.Code) -> Code {
        switch code {
        case .outOfSpace: .outOfSpace
        case .readOnly, .permission: .readOnly
        case .tooManyFiles: .tooManyFiles
        // What should be a segment is missing, or is a link, a pipe or a directory.
        case .notFound, .notRegularFile, .exists: .corrupted
        default: .io
        }
    }
}

/// Runs a call of the disk and names what failed.
func onDisk<Result>(
    _ action: @autoclosure () -> String, _ body: () throws(DiskError) -> Result
) throws(SegmentError) -> Result {
    do { return try body() } catch { throw SegmentError(error, action()) }
}
