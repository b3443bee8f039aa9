// Part of Cairn, a content-addressed blob store.

internal import CPKCS11
internal import CairnCore
internal import CairnKeys

extension TokenSession {
    /// Overwrites all of `bytes` with random ones of the token.
    func fill(_ bytes: inout MutableSpan<UInt8>) throws(KeyError) {
        let result = unsafe bytes.withUnsafeMutableBufferPointer {
            unsafe functions.C_GenerateRandom?(handle, $0.baseAddress, CK_ULONG($0.count))
        }
        try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_GenerateRandom", "give random bytes")
    }

    /// Encrypts and authenticates with a key of the token: AES-256-GCM.
    ///
    /// - Returns: the ciphertext and the tag of 16 bytes.
    func encrypt(
        _ plaintext: Span<UInt8>, with key: CK_OBJECT_HANDLE, nonce: Span<UInt8>,
        associated: [UInt8]
    ) throws(KeyError) -> [UInt8] {
        let byteCount = plaintext.count + AES256GCM.tagByteCount
        var ciphertext = [UInt8](repeating: 0, count: byteCount)
        var writtenByteCount = CK_ULONG(byteCount)
        let begun = unsafe withGCM(nonce, associated) {
            unsafe functions.C_EncryptInit?(handle, $0, key) ?? CKR_FUNCTION_NOT_SUPPORTED
        }
        try check(begun, "C_EncryptInit", "begin to encrypt")
        let result = unsafe plaintext.withUnsafeBufferPointer { plaintext in
            unsafe ciphertext.withUnsafeMutableBufferPointer { ciphertext in
                // The parameter is not const, but only read.
                unsafe functions.C_Encrypt?(
                    handle, UnsafeMutablePointer(mutating: plaintext.baseAddress),
                    CK_ULONG(plaintext.count), ciphertext.baseAddress, &writtenByteCount)
            }
        }
        try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_Encrypt", "encrypt")
        guard writtenByteCount == byteCount else {
            throw KeyError(
                .unavailable, "the token encrypted to \(writtenByteCount) bytes, not \(byteCount)")
        }
        return ciphertext
    }

    /// Decrypts what is authentic.
    ///
    /// - Parameter plaintext: As many bytes as `ciphertext` has; takes the plaintext in all but the
    ///   last 16. Some tokens, SoftHSM among them, ask for room for the tag. Of no meaning unless
    ///   the answer is `true`.
    /// - Returns: `false` when key, nonce, associated data and ciphertext do not belong together.
    func decrypt(
        _ ciphertext: Span<UInt8>, with key: CK_OBJECT_HANDLE, nonce: Span<UInt8>,
        associated: [UInt8], into plaintext: inout MutableSpan<UInt8>
    ) throws(KeyError) -> Bool {
        let result = try rawDecrypt(
            ciphertext, with: key, nonce: nonce, associated: associated, into: &plaintext)
        switch result {
        case CKR_OK: return true
        case CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_DATA_INVALID,
            CKR_DATA_LEN_RANGE, CKR_SIGNATURE_INVALID, Self.AEADDecryptFailed:
            return false
        case CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED:
            // SoftHSM 2.6 answers so when the tag is wrong, as a token may that has broken down.
            // If it can still use the key, it was the ciphertext.
            if try canUse(key) { return false }
            throw KeyError(CryptokiFailure("C_Decrypt", result), "decrypt")
        default:
            throw KeyError(CryptokiFailure("C_Decrypt", result), "decrypt")
        }
    }

    // MARK: -

    // CKR_AEAD_DECRYPT_FAILED of PKCS#11 3.0, which the header of 2.40 lacks.
    private static var AEADDecryptFailed: CK_RV { 0x42 }

    private func rawDecrypt(
        _ ciphertext: Span<UInt8>, with key: CK_OBJECT_HANDLE, nonce: Span<UInt8>,
        associated: [UInt8], into plaintext: inout MutableSpan<UInt8>
    ) throws(KeyError) -> CK_RV {
        let begun = unsafe withGCM(nonce, associated) {
            unsafe functions.C_DecryptInit?(handle, $0, key) ?? CKR_FUNCTION_NOT_SUPPORTED
        }
        try check(begun, "C_DecryptInit", "begin to decrypt")
        let byteCount = ciphertext.count - AES256GCM.tagByteCount
        var writtenByteCount = CK_ULONG(plaintext.count)
        let result = unsafe ciphertext.withUnsafeBufferPointer { ciphertext in
            unsafe plaintext.withUnsafeMutableBufferPointer { plaintext in
                // The parameter is not const, but only read.
                unsafe functions.C_Decrypt?(
                    handle, UnsafeMutablePointer(mutating: ciphertext.baseAddress),
                    CK_ULONG(ciphertext.count), plaintext.baseAddress, &writtenByteCount)
            }
        }
        guard result != CKR_OK || writtenByteCount == byteCount else {
            throw KeyError(
                .unavailable, "the token decrypted to \(writtenByteCount) bytes, not \(byteCount)")
        }
        return result ?? CKR_FUNCTION_NOT_SUPPORTED
    }

    // Encrypts zeros and decrypts them again.
    private func canUse(_ key: CK_OBJECT_HANDLE) throws(KeyError) -> Bool {
        let zeros = [UInt8](repeating: 0, count: 16)
        var nonce = [UInt8](repeating: 0, count: AES256GCM.nonceByteCount)
        var nonceSpan = nonce.mutableSpan
        try fill(&nonceSpan)
        let sealed = try encrypt(zeros.span, with: key, nonce: nonce.span, associated: [])
        var opened = [UInt8](repeating: 1, count: sealed.count)
        var openedSpan = opened.mutableSpan
        let result = try rawDecrypt(
            sealed.span, with: key, nonce: nonce.span, associated: [], into: &openedSpan)
        return result == CKR_OK && opened.starts(with: zeros)
    }

    private func withGCM(
        _ nonce: Span<UInt8>, _ associated: [UInt8],
        _ body: (UnsafeMutablePointer<CK_MECHANISM>) -> CK_RV
    ) -> CK_RV {
        unsafe nonce.withUnsafeBufferPointer { nonce in
            unsafe associated.withUnsafeBufferPointer { associated in
                // Neither field is const; both are only read.
                var parameters = unsafe CK_GCM_PARAMS(
                    pIv: UnsafeMutablePointer(mutating: nonce.baseAddress),
                    ulIvLen: CK_ULONG(nonce.count), ulIvBits: CK_ULONG(nonce.count * 8),
                    pAAD: UnsafeMutablePointer(mutating: associated.baseAddress),
                    ulAADLen: CK_ULONG(associated.count),
                    ulTagBits: CK_ULONG(AES256GCM.tagByteCount * 8))
                return unsafe withUnsafeMutablePointer(to: &parameters) { parameters in
                    var mechanism = unsafe CK_MECHANISM(
                        mechanism: CKM_AES_GCM, pParameter: parameters,
                        ulParameterLen: CK_ULONG(MemoryLayout<CK_GCM_PARAMS>.size))
                    return unsafe body(&mechanism)
                }
            }
        }
    }
}
