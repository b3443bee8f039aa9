// Part of Cairn, a content-addressed blob store.
internal import CairnCore
public import CairnKeys

/// A key provider, and what the conformance suite needs to do behind its back.
///
/// One object serves one case: the suite asks for a fresh one each time. Calls come one after the
/// other, apart from those to the provider itself.
public protocol KeyProviderUnderTest: Sendable {
    /// The provider as it is now; asked for again after every change.
    var provider: any KeyProvider { get async throws }

    /// An enabled key.
    var key: KeyReference { get }

    /// Another enabled key, if the provider can hold two.
    var otherKey: KeyReference? { get }

    /// A well-formed reference to a key that does not exist.
    var unknownKey: KeyReference { get }

    /// Gives ``key`` new material; `false` if the provider cannot.
    func rotateKey() async throws -> Bool

    /// Enables or disables ``key`` and returns when that is in effect; `false` if the provider
    /// cannot.
    func setKeyEnabled(_ isEnabled: Bool) async throws -> Bool
}

/// Checks that a key provider keeps the promises of `KeyProvider`.
///
/// ```swift
/// @Test(arguments: KeyProviderConformance.allCases)
/// func `the provider conforms`(_ check: KeyProviderConformance) async throws {
///     try await check.run(on: MyProviderUnderTest())
/// }
/// ```
public enum KeyProviderConformance: String, CaseIterable, Sendable {
    /// A key is described alike by every name it has.
    case describesKeysByEveryName
    /// A reference to no key gives `keyNotFound` from every call.
    case refusesUnknownKeys
    /// Data keys are 32 fresh bytes, and their wrapped form shows nothing of them.
    case generatesFreshDataKeys
    /// A data key that nobody has seen is as fresh as any other, and opens to 32 bytes.
    case generatesDataKeysUnseen
    /// Bytes of the caller's come back as they were, and their ciphertexts show nothing of them.
    case encryptsWhatItIsGiven
    /// Nothing, and more than 4096 bytes, give `invalidArgument`.
    case refusesPlaintextsOfWrongLength
    /// A ciphertext gives back its plaintext, as often as asked, also without any context.
    case unwrapsWhatItWrapped
    /// Any other context, however close, gives `integrity`.
    case bindsCiphertextsToTheirContext
    /// A flipped bit in any byte of a ciphertext is found.
    case refusesDamagedCiphertexts
    /// A ciphertext that is cut anywhere or extended is refused, as are bytes that are none.
    case refusesCiphertextsOfWrongLength
    /// Re-encryption keeps the plaintext and changes the context and the key.
    case reEncryptsUnderAnotherContextAndKey
    /// Ciphertexts from before a rotation still open after it.
    case unwrapsOlderMaterialAfterRotation
    /// No ciphertext of another key or of older material is called current.
    case tellsCurrentCiphertexts
    /// A disabled key serves nothing but its description, and everything once enabled again.
    case refusesDisabledKeys
    /// Calls from many tasks at once do not disturb each other.
    case servesConcurrentCalls

    /// Why a provider does not conform.
    public struct Failure: Error, CustomStringConvertible {
        /// The promise that was broken.
        public let check: KeyProviderConformance
        /// What was expected and what happened.
        public let reason: String

        /// The promise and the reason.
        public var description: String { "\(check.rawValue): \(reason)" }
    }

    /// Checks one promise.
    ///
    /// - Throws: ``Failure``, or the error of a call that should have worked.
    public func run(on subject: any KeyProviderUnderTest) async throws {
        switch self {
        case .describesKeysByEveryName: try await checkDescriptions(subject)
        case .refusesUnknownKeys: try await checkUnknownKeys(subject)
        case .generatesFreshDataKeys: try await checkDataKeys(subject)
        case .generatesDataKeysUnseen: try await checkUnseenDataKeys(subject)
        case .encryptsWhatItIsGiven: try await checkEncryption(subject)
        case .refusesPlaintextsOfWrongLength: try await checkPlaintextLengths(subject)
        case .unwrapsWhatItWrapped: try await checkUnwrapping(subject)
        case .bindsCiphertextsToTheirContext: try await checkContexts(subject)
        case .refusesDamagedCiphertexts: try await checkDamage(subject)
        case .refusesCiphertextsOfWrongLength: try await checkLengths(subject)
        case .reEncryptsUnderAnotherContextAndKey: try await checkReEncryption(subject)
        case .unwrapsOlderMaterialAfterRotation: try await checkRotation(subject)
        case .tellsCurrentCiphertexts: try await checkCurrency(subject)
        case .refusesDisabledKeys: try await checkDisabling(subject)
        case .servesConcurrentCalls: try await checkConcurrency(subject)
        }
    }
}

// MARK: - The checks

extension KeyProviderConformance {
    private static let pairs = ["store": "5a", "bucket": "Caf\u{e9}", "purpose": ""]

    /// Bytes for `encrypt`, no longer run of which is all alike.
    private static func secret(_ byteCount: Int) -> SecretBytes {
        SecretBytes(byteCount: byteCount) { out in
            // Any scattering will do; the rest of the product is dropped on purpose.
            for index in out.indices { out[index] = UInt8(truncatingIfNeeded: index * 167 >> 3) }
        }
    }

    private func checkDescriptions(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let description = try await provider.describeKey(subject.key)
        try expect(description.state.isUsable, "an enabled key is described as usable")
        if subject.key.isAlias {
            try expect(
                description.aliases.contains(subject.key.text),
                "\(subject.key) is among the aliases \(description.aliases)")
        }
        for name in [description.id.text] + description.aliases {
            let again = try await provider.describeKey(KeyReference(name))
            try expect(again == description, "\(name) is described as \(subject.key) is")
        }
    }

    private func checkUnknownKeys(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        let unknown = subject.unknownKey
        let wrapped = try await provider.generateDataKey(under: subject.key, context: context)
            .wrapped
        try await expect([.keyNotFound], "describing \(unknown)") { () throws(KeyError) in
            _ = try await provider.describeKey(unknown)
        }
        try await expect([.keyNotFound], "a data key under \(unknown)") { () throws(KeyError) in
            _ = try await provider.generateDataKey(under: unknown, context: context)
        }
        try await expect([.keyNotFound], "a key unseen under \(unknown)") { () throws(KeyError) in
            _ = try await provider.generateDataKeyWithoutPlaintext(
                under: unknown, context: context)
        }
        try await expect([.keyNotFound], "encrypting under \(unknown)") { () throws(KeyError) in
            _ = try await provider.encrypt(Self.secret(32), under: unknown, context: context)
        }
        try await expect([.keyNotFound], "re-encrypting to \(unknown)") { () throws(KeyError) in
            _ = try await provider.reEncrypt(
                wrapped, context: context, to: unknown, newContext: context)
        }
        // A provider that cannot tell does not look for the key either.
        do {
            let isCurrent = try await provider.isCurrent(wrapped, under: unknown)
            try expect(!isCurrent, "nothing is current under \(unknown)")
        } catch let error as KeyError where error.code == .keyNotFound {
        }
    }

    private func checkDataKeys(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        let id = try await provider.describeKey(subject.key).id
        var seen: Set<[UInt8]> = []
        for _ in 0..<16 {
            let dataKey = try await provider.generateDataKey(under: subject.key, context: context)
            let plaintext = dataKey.plaintext.copy
            try expect(plaintext.count == DataKey.byteCount, "a data key has 32 bytes")
            try expect(
                (1...DataKey.wrappedByteCountMax).contains(dataKey.wrapped.count),
                "a wrapped key has at most \(DataKey.wrappedByteCountMax) bytes")
            try expect(dataKey.keyID == id, "a data key names the key that wrapped it")
            try expect(
                !dataKey.wrapped.containsRun(of: plaintext, byteCount: 8),
                "a wrapped key shows nothing of the key")
            try expect(seen.insert(plaintext).inserted, "no two data keys are equal")
            try expect(seen.insert(dataKey.wrapped).inserted, "no two ciphertexts are equal")
        }
    }

    private func checkUnseenDataKeys(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        var seen: Set<[UInt8]> = []
        for _ in 0..<16 {
            let wrapped = try await provider.generateDataKeyWithoutPlaintext(
                under: subject.key, context: context)
            try expect(
                (1...DataKey.wrappedByteCountMax).contains(wrapped.count),
                "a wrapped key has at most \(DataKey.wrappedByteCountMax) bytes")
            let plaintext = try await provider.decrypt(wrapped, context: context).copy
            try expect(plaintext.count == DataKey.byteCount, "a data key has 32 bytes")
            try expect(
                !wrapped.containsRun(of: plaintext, byteCount: 8),
                "a wrapped key shows nothing of the key")
            try expect(seen.insert(plaintext).inserted, "no two data keys are equal")
            try expect(seen.insert(wrapped).inserted, "no two ciphertexts are equal")
        }
    }

    private func checkEncryption(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        for count in [1, 31, 32, 33, 1000, DataKey.plaintextByteCountMax] {
            let secret = Self.secret(count)
            var seen: Set<[UInt8]> = []
            for _ in 0..<4 {
                let wrapped = try await provider.encrypt(
                    secret, under: subject.key, context: context)
                try expect(
                    wrapped.count <= DataKey.wrappedByteCountMax,
                    "a ciphertext has at most \(DataKey.wrappedByteCountMax) bytes")
                try expect(
                    !wrapped.containsRun(of: secret.copy, byteCount: 8),
                    "a ciphertext shows nothing of its plaintext")
                try expect(seen.insert(wrapped).inserted, "no two ciphertexts are equal")
                let plaintext = try await provider.decrypt(wrapped, context: context)
                try expect(plaintext.copy == secret.copy, "\(count) bytes come back unchanged")
            }
        }
    }

    private func checkPlaintextLengths(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        for count in [0, DataKey.plaintextByteCountMax + 1, 1 << 20] {
            try await expect([.invalidArgument], "\(count) bytes") { () throws(KeyError) in
                _ = try await provider.encrypt(
                    Self.secret(count), under: subject.key, context: context)
            }
        }
    }

    private func checkUnwrapping(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        for context in try [EncryptionContext(Self.pairs), EncryptionContext()] {
            let dataKey = try await provider.generateDataKey(under: subject.key, context: context)
            for _ in 0..<2 {
                let plaintext = try await provider.decryptDataKey(
                    dataKey.wrapped, context: context)
                try expect(
                    plaintext.copy == dataKey.plaintext.copy,
                    "\(context) unwraps to what was wrapped")
            }
        }
    }

    private func checkContexts(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        let ciphertexts = [
            try await provider.generateDataKey(under: subject.key, context: context).wrapped,
            try await provider.generateDataKeyWithoutPlaintext(
                under: subject.key, context: context),
            try await provider.encrypt(Self.secret(32), under: subject.key, context: context),
        ]
        let others: [[String: String]] = [
            [:],
            Self.pairs.filter { $0.key != "purpose" },
            Self.pairs.merging(["extra": ""]) { $1 },
            Self.pairs.merging(["store": "5A"]) { $1 },
            // The same text in another Unicode form: other bytes, another context.
            Self.pairs.merging(["bucket": "Cafe\u{301}"]) { $1 },
            ["store": "Caf\u{e9}", "bucket": "5a", "purpose": ""],
            ["Store": "5a", "bucket": "Caf\u{e9}", "purpose": ""],
        ]
        for other in try others.map(EncryptionContext.init) {
            for wrapped in ciphertexts {
                try await expect([.integrity], "decrypting with \(other)") {
                    () throws(KeyError) in
                    _ = try await provider.decrypt(wrapped, context: other)
                }
                try await expect([.integrity], "re-encrypting with \(other)") {
                    () throws(KeyError) in
                    _ = try await provider.reEncrypt(
                        wrapped, context: other, to: subject.key, newContext: context)
                }
            }
        }
    }

    private func checkDamage(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        let dataKey = try await provider.generateDataKey(under: subject.key, context: context)
        for index in dataKey.wrapped.indices {
            var damaged = dataKey.wrapped
            damaged[index] ^= 1 << UInt8(index % 8)
            try await expectRefusal(
                of: damaged, "byte \(index) changed", provider, context, hiding: dataKey.plaintext)
        }
    }

    private func checkLengths(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        let dataKey = try await provider.generateDataKey(under: subject.key, context: context)
        let wrapped = dataKey.wrapped
        for count in wrapped.indices {
            try await expectRefusal(
                of: Array(wrapped.prefix(count)), "cut to \(count) bytes", provider, context,
                hiding: dataKey.plaintext)
        }
        for (other, what) in [
            (wrapped + [0], "a zero appended"), (wrapped + wrapped, "doubled"),
            ([UInt8](repeating: 0xff, count: 64), "none at all"),
        ] {
            try await expectRefusal(
                of: other, what, provider, context, hiding: dataKey.plaintext)
        }
    }

    private func checkReEncryption(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let old = try EncryptionContext(Self.pairs)
        let new = try EncryptionContext(["bucket": "another"])
        let dataKey = try await provider.generateDataKey(under: subject.key, context: old)
        for target in [subject.key, subject.otherKey].compactMap({ $0 }) {
            let rewrapped = try await provider.reEncrypt(
                dataKey.wrapped, context: old, to: target, newContext: new)
            try expect(rewrapped != dataKey.wrapped, "re-encryption gives another ciphertext")
            for (wrapped, context) in [(rewrapped, new), (dataKey.wrapped, old)] {
                let plaintext = try await provider.decryptDataKey(wrapped, context: context)
                try expect(
                    plaintext.copy == dataKey.plaintext.copy,
                    "both ciphertexts open to the same key after re-encryption to \(target)")
            }
            try await expect([.integrity], "the old context") { () throws(KeyError) in
                _ = try await provider.decrypt(rewrapped, context: old)
            }
        }
    }

    private func checkRotation(_ subject: any KeyProviderUnderTest) async throws {
        let context = try EncryptionContext(Self.pairs)
        var dataKeys: [DataKey] = []
        for _ in 0..<3 {
            dataKeys.append(
                try await subject.provider.generateDataKey(under: subject.key, context: context))
            guard try await subject.rotateKey() else { return }
            let provider = try await subject.provider
            for dataKey in dataKeys {
                let plaintext = try await provider.decryptDataKey(
                    dataKey.wrapped, context: context)
                try expect(
                    plaintext.copy == dataKey.plaintext.copy, "an older ciphertext still opens")
            }
            let id = try await provider.describeKey(subject.key).id
            try expect(id == dataKeys[0].keyID, "a rotated key keeps its id")
        }
    }

    private func checkCurrency(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let context = try EncryptionContext(Self.pairs)
        let wrapped = try await provider.encrypt(
            Self.secret(32), under: subject.key, context: context)
        // A provider that cannot tell always says no.
        let canTell = try await provider.isCurrent(wrapped, under: subject.key)
        if let other = subject.otherKey {
            let isCurrent = try await provider.isCurrent(wrapped, under: other)
            try expect(!isCurrent, "a ciphertext of one key is not current under another")
        }
        guard try await subject.rotateKey() else { return }
        let rotated = try await subject.provider
        let isCurrent = try await rotated.isCurrent(wrapped, under: subject.key)
        try expect(!isCurrent, "a ciphertext from before a rotation is not current after it")
        let again = try await rotated.reEncrypt(
            wrapped, context: context, to: subject.key, newContext: context)
        let isAgainCurrent = try await rotated.isCurrent(again, under: subject.key)
        try expect(isAgainCurrent == canTell, "re-encryption makes a ciphertext current")
    }

    private func checkDisabling(_ subject: any KeyProviderUnderTest) async throws {
        let context = try EncryptionContext(Self.pairs)
        let dataKey = try await subject.provider.generateDataKey(
            under: subject.key, context: context)
        guard try await subject.setKeyEnabled(false) else { return }
        let disabled = try await subject.provider
        let description = try await disabled.describeKey(subject.key)
        try expect(!description.state.isUsable, "a disabled key is described as such")
        try await expect([.keyDisabled], "generating") { () throws(KeyError) in
            _ = try await disabled.generateDataKey(under: subject.key, context: context)
        }
        try await expect([.keyDisabled], "generating unseen") { () throws(KeyError) in
            _ = try await disabled.generateDataKeyWithoutPlaintext(
                under: subject.key, context: context)
        }
        try await expect([.keyDisabled], "encrypting") { () throws(KeyError) in
            _ = try await disabled.encrypt(
                Self.secret(32), under: subject.key, context: context)
        }
        try await expect([.keyDisabled], "decrypting") { () throws(KeyError) in
            _ = try await disabled.decrypt(dataKey.wrapped, context: context)
        }
        try await expect([.keyDisabled], "re-encrypting") { () throws(KeyError) in
            _ = try await disabled.reEncrypt(
                dataKey.wrapped, context: context, to: subject.otherKey ?? subject.key,
                newContext: context)
        }
        try expect(try await subject.setKeyEnabled(true), "a disabled key can be enabled")
        let plaintext = try await subject.provider.decrypt(dataKey.wrapped, context: context)
        try expect(
            plaintext.copy == dataKey.plaintext.copy, "a key enabled again opens what it wrapped")
    }

    private func checkConcurrency(_ subject: any KeyProviderUnderTest) async throws {
        let provider = try await subject.provider
        let key = subject.key
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<32 {
                group.addTask {
                    let context = try EncryptionContext(["number": "\(number)"])
                    let dataKey = try await provider.generateDataKey(under: key, context: context)
                    let plaintext = try await provider.decrypt(dataKey.wrapped, context: context)
                    return plaintext.copy == dataKey.plaintext.copy
                }
            }
            for try await isSame in group {
                try expect(isSame, "concurrent calls do not mix up their keys")
            }
        }
    }
}

// MARK: - Expectations

extension KeyProviderConformance {
    private func expect(_ condition: Bool, _ promise: String) throws(Failure) {
        guard condition else { throw Failure(check: self, reason: "broken: \(promise)") }
    }

    @discardableResult
    private func expect(
        _ codes: Set<KeyError.Code>, _ what: String, _ body: () async throws(KeyError) -> Void
    ) async throws(Failure) -> KeyError {
        do throws(KeyError) {
            try await body()
        } catch {
            guard codes.contains(error.code) else {
                throw Failure(check: self, reason: "\(what) gives \(codes), not \(error)")
            }
            return error
        }
        throw Failure(check: self, reason: "\(what) gives \(codes), and it succeeded")
    }

    /// Damage in the part that names the key may make the provider look for another key.
    private func expectRefusal(
        of wrapped: [UInt8], _ what: String, _ provider: any KeyProvider,
        _ context: EncryptionContext, hiding secret: SecretBytes
    ) async throws {
        let codes: Set<KeyError.Code> = [.integrity, .keyNotFound]
        let error = try await expect(codes, what) { () throws(KeyError) in
            _ = try await provider.decrypt(wrapped, context: context)
        }
        let text = Array(error.description.utf8)
        let plaintext = secret.copy
        try expect(
            !text.containsRun(of: plaintext, byteCount: 8)
                && !text.containsRun(of: plaintext.hexadecimal, byteCount: 16),
            "an error shows nothing of the key")
    }
}

extension SecretBytes {
    /// A copy that is not wiped: for keys that protect nothing.
    fileprivate var copy: [UInt8] {
        withSpan { span in span.indices.map { span[$0] } }
    }
}

extension [UInt8] {
    /// The digits as ASCII.
    fileprivate var hexadecimal: [UInt8] {
        flatMap { byte in
            let digits = String(byte, radix: 16)
            return Array((digits.count == 1 ? "0" + digits : digits).utf8)
        }
    }

    /// Whether any `byteCount` consecutive bytes of `other` appear here.
    fileprivate func containsRun(of other: [UInt8], byteCount: Int) -> Bool {
        guard count >= byteCount, other.count >= byteCount else { return false }
        let runs = Set((0...count - byteCount).map { Array(self[$0..<$0 + byteCount]) })
        return (0...other.count - byteCount).contains { start in
            runs.contains(Array(other[start..<start + byteCount]))
        }
    }
}
