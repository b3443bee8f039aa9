// Part of Cairn, a content-addressed blob store.
internal import CRocksDB

/// Where a C call leaves its error string.
typealias RocksDBMessage = UnsafeMutablePointer<CChar>

/// Throws what a C call reported, if it did, and frees its string.
///
/// - Parameter attempt: completes the sentence "can't ...".
@inline(__always)
func check(
    _ message: RocksDBMessage?, _ attempt: @autoclosure () -> String
) throws(IndexError) {
    guard let message = unsafe message else { return }
    throw indexError(unsafe takeStatus(message), attempt())
}

/// Copies and frees an error string.
func takeStatus(_ message: RocksDBMessage) -> String {
    defer { unsafe rocksdb_free(message) }
    return unsafe String(cString: message)
}

/// The error for a status in words: the C interface has no codes.
///
/// The words come from `util/status.cc` and, behind "IO error", from `strerror`.
func indexError(_ status: String, _ attempt: String) -> IndexError {
    IndexError(code(of: status), "can't \(attempt): \(status)")
}

private func code(of status: String) -> IndexError.Code {
    let rules: [(text: String, code: IndexError.Code)] = [
        // A file that the manifest names and that is gone is damage, not a failing disk.
        ("No such file or directory", .corrupted),
        ("Corruption", .corrupted),
        ("No space left", .outOfSpace),
        ("Disk quota exceeded", .outOfSpace),
        ("Read-only file system", .readOnly),
        ("Permission denied", .readOnly),
        // "lock hold by current process" and "While lock file: ...: Resource temporarily ...".
        ("lock hold by", .locked),
        ("While lock file", .locked),
        ("create_if_missing is false", .corrupted),
        ("Column families not opened", .unsupportedVersion),
        ("Not implemented", .unsupportedVersion),
        ("Invalid argument", .invalidArgument),
    ]
    return rules.first { status.contains($0.text) }?.code ?? .io
}

/// Copies what a C call returned into an array.
@inline(__always)
func copyBytes(_ start: UnsafePointer<CChar>?, _ count: Int) -> [UInt8] {
    unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
}

extension [UInt8] {
    /// The bytes as C wants them.
    ///
    /// Valid during the call only.
    @inline(__always)
    func withChars<R>(_ body: (UnsafePointer<CChar>?, Int) -> R) -> R {
        unsafe withUnsafeBufferPointer { bytes in
            unsafe bytes.withMemoryRebound(to: CChar.self) { chars in
                unsafe body(chars.baseAddress, chars.count)
            }
        }
    }
}
