// Part of Cairn, a content-addressed blob store.

/// What a writer says of an object beside its bytes.
///
/// Nothing of it but the lock is in the clear on disk.
public struct ObjectAttributes: Hashable, Sendable {
    /// The media type of an object whose writer gave none.
    public static let contentTypeDefault = "application/octet-stream"
    /// The longest content type in bytes (RFC 6838 4.2: two names of 127 characters).
    public static let contentTypeByteCountMax = 255
    /// The most bytes of any other content header: a file name and its parameters fit easily, and
    /// a page of a thousand objects stays small.
    public static let headerByteCountMax = 1024
    /// The most bytes of metadata, names and values together (as in S3).
    public static let metadataByteCountMax = 2048
    /// The most tags of one object (as in S3).
    public static let tagCountMax = 10
    /// The most characters of a tag's name (as in S3).
    public static let tagNameCharacterCountMax = 128
    /// The most characters of a tag's value (as in S3).
    public static let tagValueCharacterCountMax = 256

    /// The media type; at most 255 bytes.
    public var contentType: String
    /// How answers that carry the object may be cached (RFC 9111 5.2); at most 1024 bytes.
    public var cacheControl: String?
    /// How the object is to be presented (RFC 6266); at most 1024 bytes.
    public var contentDisposition: String?
    /// What was done to the bytes beside their type (RFC 9110 8.4); at most 1024 bytes.
    public var contentEncoding: String?
    /// Whom the object is for (RFC 9110 8.5); at most 1024 bytes.
    public var contentLanguage: String?
    /// When the object is stale, as the writer put it (RFC 9111 5.3); at most 1024 bytes.
    public var expires: String?
    /// What the writer attached, at most 2 KiB. Part of what the ETag stands for.
    public var metadata: [String: String]
    /// Up to 10 names of 1 to 128 characters with values of up to 256. Change without a new ETag:
    /// see ``Bucket/setTags(_:of:ifMatch:)``.
    public var tags: [String: String]
    /// What keeps the version from being deleted. Changes without a new ETag: see
    /// ``Bucket/setRetention(_:of:version:bypassingGovernance:)``.
    public var lock: ObjectLock

    /// Describes an object; what is not given stays unsaid.
    public init(
        contentType: String = Self.contentTypeDefault, metadata: [String: String] = [:],
        tags: [String: String] = [:], lock: ObjectLock = .none
    ) {
        self.contentType = contentType
        self.metadata = metadata
        self.tags = tags
        self.lock = lock
    }

    // MARK: -

    /// The content headers but for the type, with the numbers they have on disk.
    static let headers: [(number: UInt8, path: any WritableKeyPath<Self, String?> & Sendable)] = [
        // On disk: never renumber.
        (1, \.cacheControl), (2, \.contentDisposition), (3, \.contentEncoding),
        (4, \.contentLanguage), (5, \.expires),
    ]

    /// Checks the limits; for implementations of buckets other than Cairn's own.
    ///
    /// - Throws: ``StoreError`` with code `limitExceeded`, or `invalidArgument` (a control
    ///   character in a header or in metadata, which servers send as headers; an empty name).
    public func check() throws(StoreError) {
        try Self.check(header: contentType, byteCountMax: Self.contentTypeByteCountMax)
        for (_, path) in Self.headers {
            try Self.check(header: self[keyPath: path] ?? "", byteCountMax: Self.headerByteCountMax)
        }
        let byteCount = metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        guard byteCount <= Self.metadataByteCountMax else {
            throw StoreError(
                .limitExceeded,
                "metadata has at most \(Self.metadataByteCountMax) bytes, not \(byteCount)")
        }
        for (name, value) in metadata {
            guard !name.isEmpty, Self.isPlain(name), Self.isPlain(value) else {
                throw StoreError(
                    .invalidArgument,
                    "metadata has names of one character or more, and no control characters")
            }
        }
        try Self.check(tags: tags)
    }

    static func check(tags: [String: String]) throws(StoreError) {
        guard tags.count <= tagCountMax else {
            throw StoreError(.limitExceeded, "an object has at most \(tagCountMax) tags")
        }
        for (name, value) in tags {
            guard (1...tagNameCharacterCountMax).contains(name.unicodeScalars.count),
                value.unicodeScalars.count <= tagValueCharacterCountMax
            else {
                throw StoreError(
                    .limitExceeded,
                    "a tag has a name of 1 to \(tagNameCharacterCountMax) characters and a value "
                        + "of at most \(tagValueCharacterCountMax)")
            }
        }
    }

    private static func check(header: String, byteCountMax: Int) throws(StoreError) {
        guard header.utf8.count <= byteCountMax else {
            throw StoreError(
                .limitExceeded, "a content header has at most \(byteCountMax) bytes here")
        }
        guard isPlain(header) else {
            throw StoreError(.invalidArgument, "a content header has no control characters")
        }
    }

    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
