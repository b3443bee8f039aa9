// Part of Cairn, a content-addressed blob store.

internal import CPKCS11
internal import CairnCore
internal import CairnKeys

/// One session with a token.
///
/// Belongs to the thread that made it: a session does one thing at a time (PKCS#11 2.40, 5.1).
/// Closed with its last reference. Calls block, and throw ``KeyError`` with a
/// ``CryptokiFailure`` as its cause.
@safe final class TokenSession {
    /// The most objects of one kind: each search walks over all of them.
    static let objectCountMax = 20_000
    /// The most bytes of an attribute that is read: above the largest record.
    static let attributeByteCountMax = 1024

    let module: Module
    let slot: CK_SLOT_ID
    /// Whether something was created or destroyed, so that trying again would do it twice.
    var hasWritten = false
    let handle: CK_SESSION_HANDLE
    var functions: CK_FUNCTION_LIST { unsafe module.library.functions.pointee }

    init(_ module: Module, slot: CK_SLOT_ID) throws(KeyError) {
        var handle: CK_SESSION_HANDLE = 0
        let result = unsafe module.library.functions.pointee.C_OpenSession?(
            slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nil, nil, &handle)
        try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_OpenSession", "open a session")
        self.module = module
        self.slot = slot
        self.handle = handle
    }

    deinit {
        // The session may be gone already; then there is nothing to close.
        _ = unsafe module.library.functions.pointee.C_CloseSession?(handle)
    }
}

// MARK: - Login

extension TokenSession {
    /// Whether the process is logged in as the token's user.
    var isLoggedIn: Bool {
        get throws(KeyError) {
            var info = CK_SESSION_INFO()
            let result = unsafe functions.C_GetSessionInfo?(handle, &info)
            try check(
                result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_GetSessionInfo", "describe a session")
            return info.state == CKS_RW_USER_FUNCTIONS || info.state == CKS_RO_USER_FUNCTIONS
        }
    }

    /// Presents the PIN, once.
    func logIn(_ pin: SecretBytes) throws(KeyError) {
        let result = pin.withSpan { pin in
            unsafe pin.withUnsafeBufferPointer {
                // The parameter is not const, but only read.
                unsafe functions.C_Login?(
                    handle, CK_USER_TYPE(CKU_USER), UnsafeMutablePointer(mutating: $0.baseAddress),
                    CK_ULONG($0.count)) ?? CKR_FUNCTION_NOT_SUPPORTED
            }
        }
        // Other code of the process may have been first.
        guard result != CKR_USER_ALREADY_LOGGED_IN else { return }
        try check(result, "C_Login", "log in; the PIN is not presented again")
    }
}

// MARK: - Objects

extension TokenSession {
    /// All objects with these attributes.
    ///
    /// Where there are none, the login is looked at: the objects of Cairn are private, and a
    /// session that is no longer logged in would find none of them, without an error.
    func find(_ template: Template) throws(KeyError) -> [CK_OBJECT_HANDLE] {
        let begun = unsafe template.withAttributes { attributes, count in
            unsafe functions.C_FindObjectsInit?(handle, attributes, count)
        }
        try check(begun ?? CKR_FUNCTION_NOT_SUPPORTED, "C_FindObjectsInit", "look for objects")
        var objects: [CK_OBJECT_HANDLE] = []
        var page = [CK_OBJECT_HANDLE](repeating: 0, count: 64)
        var count: CK_ULONG = 0
        repeat {
            let result = unsafe page.withUnsafeMutableBufferPointer {
                unsafe functions.C_FindObjects?(
                    handle, $0.baseAddress, CK_ULONG($0.count), &count)
            }
            try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_FindObjects", "look for objects")
            objects += page.prefix(Int(min(count, 64)))
        } while count > 0 && objects.count <= Self.objectCountMax
        let ended = functions.C_FindObjectsFinal?(handle)
        try check(ended ?? CKR_FUNCTION_NOT_SUPPORTED, "C_FindObjectsFinal", "look for objects")
        guard objects.count <= Self.objectCountMax else {
            throw KeyError(
                .limitExceeded,
                "the token holds more than \(Self.objectCountMax) objects of a kind")
        }
        if objects.isEmpty, try !isLoggedIn {
            throw KeyError(
                CryptokiFailure("C_FindObjects", CKR_USER_NOT_LOGGED_IN), "look for objects")
        }
        return objects
    }

    /// The bytes of an attribute; nil when the object was destroyed meanwhile.
    func read(
        _ type: CK_ATTRIBUTE_TYPE, of object: CK_OBJECT_HANDLE
    ) throws(KeyError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: Self.attributeByteCountMax)
        var byteCount: CK_ULONG = 0
        let result = unsafe bytes.withUnsafeMutableBytes { bytes in
            var attribute = unsafe CK_ATTRIBUTE(
                type: type, pValue: bytes.baseAddress, ulValueLen: CK_ULONG(bytes.count))
            defer { byteCount = unsafe attribute.ulValueLen }
            return unsafe functions.C_GetAttributeValue?(handle, object, &attribute, 1)
        }
        guard result != CKR_OBJECT_HANDLE_INVALID else { return nil }
        try check(
            result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_GetAttributeValue", "describe an object")
        guard byteCount <= Self.attributeByteCountMax else {
            throw KeyError(.corrupted, "an object of the token has an attribute of no known form")
        }
        return Array(bytes.prefix(Int(byteCount)))
    }

    /// Stores an object. It is on the token when this returns.
    func create(_ template: Template) throws(KeyError) {
        hasWritten = true
        var object: CK_OBJECT_HANDLE = 0
        let result = unsafe template.withAttributes { attributes, count in
            unsafe functions.C_CreateObject?(handle, attributes, count, &object)
        }
        try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_CreateObject", "store a record")
    }

    /// Makes an AES key on the token. It is there when this returns.
    func generateKey(_ template: Template) throws(KeyError) {
        hasWritten = true
        var mechanism = unsafe CK_MECHANISM(
            mechanism: CKM_AES_KEY_GEN, pParameter: nil, ulParameterLen: 0)
        var object: CK_OBJECT_HANDLE = 0
        let result = unsafe template.withAttributes { attributes, count in
            unsafe functions.C_GenerateKey?(handle, &mechanism, attributes, count, &object)
        }
        try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_GenerateKey", "generate a key")
    }

    /// Removes an object; one that is gone already is not missed.
    func destroy(_ object: CK_OBJECT_HANDLE) throws(KeyError) {
        hasWritten = true
        let result = functions.C_DestroyObject?(handle, object)
        guard result != CKR_OBJECT_HANDLE_INVALID else { return }
        try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_DestroyObject", "remove a record")
    }
}
