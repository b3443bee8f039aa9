// Part of Cairn, a content-addressed blob store.

internal import COpenSSL

/// AES-256 in Galois/counter mode (NIST SP 800-38D) with 96-bit nonces and 128-bit tags.
///
/// Owns one context of OpenSSL, which each message reuses with a key of its own: no allocation
/// per message. Not to be used by two threads at once, which the compiler ensures; it wipes the
/// last key when it goes.
@safe package struct AES256GCM: ~Copyable, @unchecked Sendable {
    // Unchecked: the context belongs to this value alone, and every use of it is exclusive.
    private let context: OpaquePointer

    /// The size of a key in bytes.
    package static let keyByteCount = 32
    /// The size of a nonce in bytes.
    package static let nonceByteCount = 12
    /// The size of a tag in bytes.
    package static let tagByteCount = 16
    /// The limit of one message or its associated data in bytes: OpenSSL counts in Int32.
    package static let messageByteCountMax = 1 << 30

    /// Creates the context.
    ///
    /// - Throws: ``CoreError`` with code `limitExceeded` without memory.
    package init() throws(CoreError) {
        guard let context = unsafe EVP_CIPHER_CTX_new() else {
            throw CoreError(.limitExceeded, "no memory for a cipher")
        }
        guard unsafe EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nil, nil, nil) == 1 else {
            unsafe EVP_CIPHER_CTX_free(context)
            throw CoreError(.invalidArgument, "this build of OpenSSL has no AES-256-GCM")
        }
        unsafe self.context = context
    }

    deinit { unsafe EVP_CIPHER_CTX_free(context) }

    /// Encrypts and authenticates a message.
    ///
    /// Never use one nonce twice with the same key: both messages would lie open.
    ///
    /// - Parameters:
    ///   - associated: What is authenticated with the message and not encrypted.
    ///   - ciphertext: Takes the encrypted message: exactly as many bytes as `plaintext`.
    ///   - tag: Takes the tag: exactly 16 bytes.
    /// - Throws: ``CoreError`` with code `invalidArgument` for a wrong count.
    package mutating func seal(
        _ plaintext: Span<UInt8>, key: Span<UInt8>, nonce: Span<UInt8>,
        associated: Span<UInt8>, _ moreAssociated: Span<UInt8> = Span(),
        into ciphertext: inout MutableSpan<UInt8>, tag: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        try Self.check(plaintext, key, nonce, associated, moreAssociated)
        guard ciphertext.count == plaintext.count, tag.count == Self.tagByteCount else {
            throw CoreError(.invalidArgument, "the room for a sealed message has the wrong size")
        }
        let isSealed =
            start(key, nonce, encrypts: true) && associate(associated)
            && associate(moreAssociated) && transform(plaintext, into: &ciphertext) && finish()
            && getTag(&tag)
        guard isSealed else {
            ERR_clear_error()
            throw CoreError(.invalidArgument, "OpenSSL refused to seal \(plaintext.count) bytes")
        }
    }

    /// Decrypts a message if it is authentic.
    ///
    /// - Parameter plaintext: Takes the message: exactly as many bytes as `ciphertext`. Holds
    ///   zeros after an error.
    /// - Throws: ``CoreError`` with code `corrupted` when key, nonce, associated data, ciphertext
    ///   and tag are not those of one sealed message; `invalidArgument` for a wrong count.
    package mutating func open(
        _ ciphertext: Span<UInt8>, tag: Span<UInt8>, key: Span<UInt8>, nonce: Span<UInt8>,
        associated: Span<UInt8>, _ moreAssociated: Span<UInt8> = Span(),
        into plaintext: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        try Self.check(ciphertext, key, nonce, associated, moreAssociated)
        guard plaintext.count == ciphertext.count, tag.count == Self.tagByteCount else {
            throw CoreError(.invalidArgument, "the room for an opened message has the wrong size")
        }
        let isAuthentic =
            start(key, nonce, encrypts: false) && associate(associated)
            && associate(moreAssociated) && transform(ciphertext, into: &plaintext)
            && setTag(tag) && finish()
        guard isAuthentic else {
            ERR_clear_error()
            wipe(&plaintext)
            throw CoreError(.corrupted, "sealed bytes are not authentic")
        }
    }

    // MARK: -

    private static func check(
        _ message: Span<UInt8>, _ key: Span<UInt8>, _ nonce: Span<UInt8>,
        _ associated: Span<UInt8>, _ moreAssociated: Span<UInt8>
    ) throws(CoreError) {
        guard key.count == keyByteCount, nonce.count == nonceByteCount else {
            throw CoreError(.invalidArgument, "a key has 32 bytes and a nonce has 12")
        }
        guard message.count <= messageByteCountMax, associated.count <= messageByteCountMax,
            moreAssociated.count <= messageByteCountMax
        else {
            throw CoreError(.limitExceeded, "a message to seal or open exceeds 1 GiB")
        }
    }

    private mutating func start(
        _ key: Span<UInt8>, _ nonce: Span<UInt8>, encrypts: Bool
    ) -> Bool {
        unsafe key.withUnsafeBufferPointer { key in
            unsafe nonce.withUnsafeBufferPointer { nonce in
                unsafe EVP_CipherInit_ex(
                    context, nil, nil, key.baseAddress, nonce.baseAddress, encrypts ? 1 : 0) == 1
            }
        }
    }

    private mutating func associate(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count > 0 else { return true }
        var count: Int32 = 0
        return unsafe bytes.withUnsafeBufferPointer {
            unsafe EVP_CipherUpdate(context, nil, &count, $0.baseAddress, Int32($0.count)) == 1
        }
    }

    private mutating func transform(
        _ input: Span<UInt8>, into output: inout MutableSpan<UInt8>
    ) -> Bool {
        guard input.count > 0 else { return true }
        var count: Int32 = 0
        return unsafe input.withUnsafeBufferPointer { input in
            unsafe output.withUnsafeMutableBufferPointer { output in
                unsafe EVP_CipherUpdate(
                    context, output.baseAddress, &count, input.baseAddress, Int32(input.count))
                    == 1
            }
        } && Int(count) == input.count
    }

    private mutating func getTag(_ tag: inout MutableSpan<UInt8>) -> Bool {
        unsafe tag.withUnsafeMutableBytes {
            unsafe EVP_CIPHER_CTX_ctrl(
                context, EVP_CTRL_AEAD_GET_TAG, Int32($0.count), $0.baseAddress) == 1
        }
    }

    private mutating func setTag(_ tag: Span<UInt8>) -> Bool {
        // The parameter is not const, but only read.
        unsafe tag.withUnsafeBytes {
            unsafe EVP_CIPHER_CTX_ctrl(
                context, EVP_CTRL_AEAD_SET_TAG, Int32($0.count),
                UnsafeMutableRawPointer(mutating: $0.baseAddress)) == 1
        }
    }

    private mutating func finish() -> Bool {
        var count: Int32 = 0
        var rest = InlineArray<16, UInt8>(repeating: 0)
        var span = rest.mutableSpan
        return unsafe span.withUnsafeMutableBufferPointer {
            unsafe EVP_CipherFinal_ex(context, $0.baseAddress, &count) == 1
        }
    }
}
