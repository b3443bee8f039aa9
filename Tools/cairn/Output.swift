// Part of Cairn, a content-addressed blob store.
internal import CairnServer
internal import FoundationEssentials

/// What commands print on standard output.
enum Output {
    /// Prints one line of text.
    static func line(_ text: String) throws(FileFailure) {
        try write(text + "\n")
    }

    /// Prints text as it is.
    static func write(_ text: String) throws(FileFailure) {
        try Descriptor.standardOutput.write(Array(text.utf8))
    }

    /// Prints one JSON document on one line.
    static func json(_ value: some Encodable) throws {
        try line(try encode(value))
    }

    /// One JSON document without line ends, the names of its fields in alphabetical order.
    static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// Text of a stranger on one line: control characters, which a terminal would obey, are written
    /// as `\\xNN`.
    static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { return text }
        var line = ""
        for scalar in text.unicodeScalars {
            guard scalar.properties.generalCategory == .control else {
                line.unicodeScalars.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            line += "\\x" + (digits.count < 2 ? "0" : "") + digits
        }
        return line
    }

    /// Prints rows of comma-separated values (RFC 4180).
    static func csv(_ rows: [[String]]) throws(FileFailure) {
        for row in rows { try write(row.map(csvField).joined(separator: ",") + "\r\n") }
    }

    private static func csvField(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy {
            $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") && $0 >= 0x20
        }
        return isPlain ? text : "\"" + text.replacing("\"", with: "\"\"") + "\""
    }

    /// Prints rows of a name and a value, the values aligned.
    static func table(_ rows: [(name: String, value: String)]) throws(FileFailure) {
        let width = (rows.map(\.name.count).max() ?? 0) + 2
        for row in rows {
            let padding = String(repeating: " ", count: width - row.name.count)
            try line(row.name + padding + row.value)
        }
    }
}

/// The JSON documents that commands print beyond those of the admin interface.
///
/// Names of fields are kept: scripts read them. Fields may be added.
enum Document {
    /// A failure, on standard error.
    struct Failed: Encodable {
        struct Body: Encodable {
            let code: String
            let message: String
            let hint: String?
            let exitCode: Int32
        }
        let error: Body
    }

    /// A store just created.
    struct Created: Encodable {
        let store: String
        let id: String
        let isNew: Bool
    }

    /// A blob that went from or into a file.
    struct Transferred: Encodable {
        let digest: String
        let byteCount: UInt64
        let createdAt: String
        let file: String

        init(_ blob: BlobInfo, file: String) {
            digest = blob.digest
            byteCount = blob.byteCount
            createdAt = blob.createdAt
            self.file = file
        }
    }

    /// The buckets of a store.
    struct Buckets: Encodable {
        let buckets: [BucketInfo]
    }

    /// The upload sessions of a bucket.
    struct Uploads: Encodable {
        let uploads: [UploadInfo]
    }

    /// An upload session that was ended.
    struct Cancelled: Encodable {
        let bucket: String
        let id: String
    }

    /// The buckets that have limits.
    struct Quotas: Encodable {
        let quotas: [QuotaListing.Entry]
    }

    /// Who pays for shared blobs.
    struct Charging: Encodable {
        let charging: String
    }

    /// What may be used in a month.
    struct Allowances: Encodable {
        let allowances: [AllowanceInfo]
    }

    /// Whether everybody may read a bucket.
    struct Visibility: Encodable {
        let bucket: String
        let isPublic: Bool
    }

    /// What buckets have.
    struct Usages: Encodable {
        let buckets: [UsageInfo]
    }

    /// What waits for the sweep.
    struct Garbage: Encodable {
        let garbage: [GarbageInfo]
    }

    /// What was removed: a bucket, or blobs of a bucket.
    struct Removed: Encodable {
        let bucket: String
        var digests: [String]?
    }

    /// An object that went from or into a file.
    struct TransferredObject: Encodable {
        let object: ObjectInfo
        let file: String
    }

    /// Whether a bucket keeps versions of its objects.
    struct Versioning: Encodable {
        let bucket: String
        let versioning: String
    }

    /// Objects that were removed from a bucket.
    struct RemovedObjects: Encodable {
        let bucket: String
        let keys: [String]
    }

    /// The customer keys of a store.
    struct Keys: Encodable {
        let keys: [KeyInfo]
    }

    /// The versions of a key.
    struct KeyVersions: Encodable {
        let versions: [KeyVersionInfo]
    }

    /// The grants of a key.
    struct Grants: Encodable {
        let grants: [GrantInfo]
    }

    /// A store from whose files what was deleted is gone.
    struct Purged: Encodable {
        let isPurged: Bool
    }

    /// An alias that was removed.
    struct RemovedAlias: Encodable {
        let alias: String
    }

    /// A server that accepts connections.
    struct Serving: Encodable {
        let address: String
        let metricsAddress: String?
        let store: String
        let processID: Int32
    }
}
