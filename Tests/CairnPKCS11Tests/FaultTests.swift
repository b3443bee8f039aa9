// Part of Cairn, a content-addressed blob store.
import CPKCS11
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@testable import CairnPKCS11

extension SoftHSMTests {
    @Suite struct FaultTests {
        private let context: EncryptionContext

        init() throws { context = try EncryptionContext(["bucket": "5a"]) }

        @Test func `sessions that somebody has closed are opened again`() async throws {
            try await withProvider { token, provider in
                let functions = try Library.load(SoftHSM.libraryPath).functions.pointee
                for _ in 0..<3 {
                    let slot = try token.withSession(\.slot)
                    #expect(functions.C_CloseAllSessions(slot) == CKR_OK)
                    for _ in 0..<8 {
                        _ = try await provider.generateDataKey(under: .default, context: context)
                    }
                }
            }
        }

        @Test func `a login that somebody has ended is made again`() async throws {
            try await withProvider { token, provider in
                try token.withSession { session in
                    #expect(session.functions.C_Logout(session.handle) == CKR_OK)
                }
                for _ in 0..<8 {
                    _ = try await provider.generateDataKey(under: .default, context: context)
                }
            }
        }

        @Test(arguments: [
            CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_USER_NOT_LOGGED_IN,
            CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT,
        ])
        func `a lost session is reopened once, and then the token is unavailable`(
            _ value: CK_RV
        ) async throws {
            try await withFaults { provider, faults in
                faults.fail("C_Encrypt", with: value)
                _ = try await provider.generateDataKey(under: .default, context: context)
                faults.fail("C_Encrypt", with: value, value)
                await #expect(throws: KeyError.with(.unavailable)) {
                    try await provider.generateDataKey(under: .default, context: context)
                }
                // And is there again as soon as it can be.
                _ = try await provider.generateDataKey(under: .default, context: context)
            }
        }

        @Test(arguments: [
            CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_HOST_MEMORY, CKR_BUFFER_TOO_SMALL,
            CKR_OPERATION_ACTIVE, 1 << 31,
        ])
        func `any other failure is answered at once, and the next call works`(
            _ value: CK_RV
        ) async throws {
            try await withFaults { provider, faults in
                for function in ["C_Encrypt", "C_GenerateRandom", "C_FindObjectsInit"] {
                    faults.fail(function, with: value)
                    await #expect(throws: KeyError.with(.unavailable), "\(function)") {
                        try await provider.generateDataKey(under: .default, context: context)
                    }
                    _ = try await provider.generateDataKey(under: .default, context: context)
                }
            }
        }

        @Test func `a broken token is not taken for a damaged ciphertext`() async throws {
            try await withFaults { provider, faults in
                let dataKey = try await provider.generateDataKey(under: .default, context: context)
                // The token is asked once more, with a ciphertext of its own.
                faults.fail("C_Decrypt", with: CKR_GENERAL_ERROR, CKR_GENERAL_ERROR)
                await #expect(throws: KeyError.with(.unavailable)) {
                    try await provider.decrypt(dataKey.wrapped, context: context)
                }
                faults.fail("C_Decrypt", with: CKR_ENCRYPTED_DATA_INVALID)
                await #expect(throws: KeyError.with(.integrity)) {
                    try await provider.decrypt(dataKey.wrapped, context: context)
                }
                _ = try await provider.decrypt(dataKey.wrapped, context: context)
            }
        }

        @Test func `a PIN that was refused is not presented again`() async throws {
            try await withFaults { provider, faults in
                _ = try await provider.generateDataKey(under: .default, context: context)
                let count = faults.callCount("C_Login")
                // As if somebody had changed the PIN while the session was lost.
                faults.fail("C_Login", with: CKR_PIN_INCORRECT)
                faults.closeAllSessions()
                for _ in 0..<8 {
                    await #expect(throws: KeyError.with(.wrongPassphrase)) {
                        try await provider.generateDataKey(under: .default, context: context)
                    }
                }
                #expect(faults.callCount("C_Login") == count + 1)
            }
        }

        @Test func `a change is not made twice when the session is lost`() async throws {
            try await withFaults { provider, faults in
                faults.fail("C_CreateObject", with: CKR_DEVICE_ERROR)
                await #expect(throws: KeyError.with(.unavailable)) {
                    try await provider.createKey(alias: "alias/new")
                }
                #expect(faults.callCount("C_GenerateKey") == 2)
                #expect(try await provider.keys().count == 1)
                // Before anything was changed there is nothing to be made twice.
                faults.fail("C_FindObjectsInit", with: CKR_SESSION_HANDLE_INVALID)
                try await provider.createKey(alias: "alias/new")
                #expect(try await provider.keys().count == 2)
            }
        }

        @Test func `a full token is a limit`() async throws {
            try await withFaults { provider, faults in
                faults.fail("C_GenerateKey", with: CKR_DEVICE_MEMORY)
                await #expect(throws: KeyError.with(.limitExceeded)) {
                    try await provider.rotateKey(.default)
                }
                _ = try await provider.generateDataKey(under: .default, context: context)
            }
        }

        @Test func `errors name the function and its answer`() async throws {
            try await withFaults { provider, faults in
                faults.fail("C_Encrypt", with: CKR_HOST_MEMORY)
                let error = await #expect(throws: KeyError.self) {
                    try await provider.generateDataKey(under: .default, context: context)
                }
                #expect(error?.description.contains("C_Encrypt returned 0x2") == true)
            }
        }

        private func withFaults(
            _ body: (PKCS11KeyProvider, FaultyLibrary) async throws -> Void
        ) async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            try await withProvider(on: token.configuration(), faults: faults) { provider in
                try await provider.createKey(alias: KeyReference.defaultAlias)
                try await body(provider, faults)
            }
        }
    }
}
