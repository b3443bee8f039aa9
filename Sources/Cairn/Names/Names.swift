// Part of Cairn, a content-addressed blob store.

/// The rules for names that users choose.
enum Names {
    /// ECR's bounds for a repository name.
    static let bucketByteCount = 2...256
    static let accountByteCount = 1...128
    /// S3's bounds for an object key.
    static let objectKeyByteCount = 1...1024

    /// Checks a bucket name: the OCI distribution specification's `<name>` (section "Pulling
    /// manifests"), path components of lower-case letters and digits, separated inside by `.`,
    /// `_`, `__` or any number of `-`, joined by `/`. Nothing of that form leaves a directory.
    static func checkBucket(_ name: String) throws(StoreError) {
        guard bucketByteCount.contains(name.utf8.count), isRepositoryName(Array(name.utf8)) else {
            throw StoreError(
                .nameInvalid,
                """
                a bucket name has 2 to 256 characters, as an OCI repository: lower-case letters \
                and digits, separated by '.', '_', '__' or '-', in components joined by '/'
                """)
        }
    }

    static func checkAccount(_ name: String) throws(StoreError) {
        let isPlain = name.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
        guard accountByteCount.contains(name.utf8.count), isPlain else {
            throw StoreError(
                .nameInvalid,
                "an account name has 1 to 128 characters: lower-case letters, digits and '-'")
        }
    }

    static func checkObjectKey(_ key: String) throws(StoreError) {
        guard objectKeyByteCount.contains(key.utf8.count), !key.utf8.contains(0) else {
            throw StoreError(
                .keyInvalid, "an object key has 1 to 1024 bytes of UTF-8 without NUL")
        }
    }

    // MARK: -

    private static func isRepositoryName(_ name: [UInt8]) -> Bool {
        name.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .allSatisfy { isComponent(Array($0)) }
    }

    // component := alphanumeric+ ((`.` | `_` | `__` | `-`+) alphanumeric+)*
    private static func isComponent(_ component: [UInt8]) -> Bool {
        guard let first = component.first, let last = component.last, isAlphanumeric(first),
            isAlphanumeric(last)
        else { return false }
        let separators = component.split(whereSeparator: isAlphanumeric)
        return separators.allSatisfy { separator in
            let text = String(decoding: separator, as: UTF8.self)
            return text == "." || text == "_" || text == "__" || text.allSatisfy { $0 == "-" }
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
