// Part of Cairn, a content-addressed blob store.

internal import CPKCS11
internal import CairnCore
internal import CairnKeys
internal import Synchronization

/// A library as this process has initialised it: once, for all providers that use it.
///
/// PKCS#11 knows processes, not their parts: `C_Initialize` and `C_Finalize` concern everyone who
/// uses the library, and so does a login (PKCS#11 2.40, 5.4 and 5.6). Hence one of these for each
/// library, which counts its users. Thread-safe; calls block.
final class Module: Sendable {
    private struct Life {
        var userCount = 0
        // Whether it was this module that initialised the library, and not other code before it.
        var isOurs = false
    }

    // By the address of the functions: two paths may lead to one library. Never emptied, as
    // libraries stay loaded.
    private static let all = Monitor<[UInt: Module]>([:])

    let library: Library
    // Held by whoever changes keys, on purpose: the token has no transactions.
    private let administration = Mutex(())
    // Held during C_Initialize and C_Finalize on purpose: they must not meet.
    private let life = Monitor(Life())
    // Held during C_Login on purpose: no PIN is presented while another one is being tried.
    private let logins = Monitor<[CK_SLOT_ID: PINVerifier]>([:])

    private init(_ library: Library) { self.library = library }

    /// The module of a library, initialised; ``release()`` it once for each call.
    static func acquire(_ library: Library) throws(KeyError) -> Module {
        let address = unsafe UInt(bitPattern: library.functions)
        let module = all.withLock { all in
            let module = all[address] ?? Module(library)
            all[address] = module
            return module
        }
        try module.enter()
        return module
    }

    /// Finalises the library when nobody is left who uses it.
    func release() {
        life.withLock { life in
            life.userCount -= 1
            guard life.userCount == 0, life.isOurs else { return }
            life.isOurs = false
            // A failure changes nothing for anyone: nobody is left who would use the library.
            _ = unsafe library.functions.pointee.C_Finalize?(nil)
        }
    }

    /// Runs a change of keys while no other one of this process runs.
    func administer<Result: Sendable>(
        _ change: () throws(KeyError) -> Result
    ) throws(KeyError) -> Result {
        try administration.withLock { _ throws(KeyError) in try change() }
    }

    private func enter() throws(KeyError) {
        try life.withLock { life throws(KeyError) in
            if life.userCount == 0 {
                var arguments = unsafe CK_C_INITIALIZE_ARGS()
                unsafe arguments.flags = CKF_OS_LOCKING_OK
                let result = unsafe withUnsafeMutablePointer(to: &arguments) {
                    unsafe library.functions.pointee.C_Initialize?($0)
                        ?? CKR_FUNCTION_NOT_SUPPORTED
                }
                // Other code of this process may use the library as well, and finalises it then.
                if result != CKR_CRYPTOKI_ALREADY_INITIALIZED {
                    try check(result, "C_Initialize", "be reached through \(library.path)")
                    life.isOurs = true
                }
            }
            life.userCount += 1
        }
    }
}

// MARK: - Tokens

extension Module {
    /// The most slots that are looked at; a module of a cloud may show one for each customer.
    static let slotCountMax: CK_ULONG = 4096

    /// The slot of the token with that label.
    ///
    /// - Throws: ``KeyError`` with code `unavailable` (no such token now) or `invalidArgument`
    ///   (several).
    func slot(ofToken label: String) throws(KeyError) -> CK_SLOT_ID {
        let matches = try slots().filter { self.label(of: $0) == label }
        guard let slot = matches.first else {
            throw KeyError(
                .unavailable,
                "\(library.path) shows no token \"\(label)\" now; some libraries see a token "
                    + "only when they are initialised after it was made")
        }
        guard matches.count == 1 else {
            throw KeyError(.invalidArgument, "\(matches.count) tokens have the label \"\(label)\"")
        }
        return slot
    }

    /// Says whether a token can generate keys and encrypt as this provider needs it.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument`.
    func checkMechanisms(_ slot: CK_SLOT_ID) throws(KeyError) {
        for (mechanism, name) in [
            (CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN"), (CKM_AES_GCM, "CKM_AES_GCM"),
        ] {
            var info = CK_MECHANISM_INFO()
            let result = unsafe library.functions.pointee.C_GetMechanismInfo?(
                slot, mechanism, &info)
            guard result == CKR_OK else {
                throw KeyError(
                    .invalidArgument, "the token has no \(name), without which it is of no use",
                    cause: CryptokiFailure(
                        "C_GetMechanismInfo", result ?? CKR_FUNCTION_NOT_SUPPORTED))
            }
        }
    }

    private func slots() throws(KeyError) -> [CK_SLOT_ID] {
        let functions = unsafe library.functions
        // Asked for the count first although the list has room for all: SoftHSM and others look
        // for new tokens only then.
        var count: CK_ULONG = 0
        var result = unsafe functions.pointee.C_GetSlotList?(1, nil, &count)
        try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_GetSlotList", "be listed")
        count = Self.slotCountMax
        var slots = [CK_SLOT_ID](repeating: 0, count: Int(count))
        result = unsafe slots.withUnsafeMutableBufferPointer {
            unsafe functions.pointee.C_GetSlotList?(1, $0.baseAddress, &count)
        }
        try check(result ?? CKR_FUNCTION_NOT_SUPPORTED, "C_GetSlotList", "be listed")
        return Array(slots.prefix(Int(min(count, Self.slotCountMax))))
    }

    // nil for a token that is being removed or not initialised.
    private func label(of slot: CK_SLOT_ID) -> String? {
        var info = CK_TOKEN_INFO()
        let result = unsafe library.functions.pointee.C_GetTokenInfo?(slot, &info)
        guard result == CKR_OK, info.flags & CKF_TOKEN_INITIALIZED != 0 else { return nil }
        // 32 bytes of UTF-8, filled up with spaces (PKCS#11 2.40, 3.2).
        let bytes = unsafe withUnsafeBytes(of: info.label) { unsafe [UInt8]($0) }
        let end = bytes.lastIndex { $0 != UInt8(ascii: " ") } ?? -1
        return String(validating: bytes[...end], as: UTF8.self)
    }
}

// MARK: - Login

extension Module {
    /// Logs the process in, unless it is.
    ///
    /// A library does not look at the PIN of a process that is logged in already, so it is
    /// compared here: a wrong PIN must not open a provider because another one is open.
    func logIn(_ session: TokenSession, with credentials: Credentials) throws(KeyError) {
        try logins.withLock { logins throws(KeyError) in
            try credentials.checkNotRefused()
            let pin = try credentials.readPIN()
            guard try session.isLoggedIn else {
                do throws(KeyError) {
                    try session.logIn(pin)
                } catch {
                    credentials.noteRefusal(error)
                    throw error
                }
                logins[session.slot] = PINVerifier(pin)
                return
            }
            // Without a verifier other code of the process has logged in: the login is its own.
            if let verifier = logins[session.slot], !verifier.matches(pin) {
                throw KeyError(
                    .wrongPassphrase, "the PIN is not the one with which the token is in use")
            }
        }
    }
}

/// Recognises a PIN without holding it.
private struct PINVerifier: Sendable {
    private let salt = SystemRandom().octets32()
    private let code: Octets32

    init(_ pin: SecretBytes) { code = Self.code(pin, salt) }

    func matches(_ pin: SecretBytes) -> Bool { Self.code(pin, salt) == code }

    private static func code(_ pin: SecretBytes, _ salt: Octets32) -> Octets32 {
        let key = HMACSHA256(key: salt.span)
        return pin.withSpan { key.authenticate($0) }
    }
}
