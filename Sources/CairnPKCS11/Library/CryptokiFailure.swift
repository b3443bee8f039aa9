// Part of Cairn, a content-addressed blob store.

internal import CPKCS11
internal import CairnKeys

/// A function of a PKCS#11 library that gave another answer than `CKR_OK`; the cause of errors.
struct CryptokiFailure: Error, CustomStringConvertible {
    let function: String
    let value: CK_RV

    init(_ function: String, _ value: CK_RV) {
        self.function = function
        self.value = value
    }

    /// The function and the number, as the tables of the standard and of vendors list it.
    var description: String { "\(function) returned 0x\(String(value, radix: 16))" }

    /// Whether the session or the login is gone, so that another session may serve better.
    var losesSession: Bool {
        switch value {
        case CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_USER_NOT_LOGGED_IN,
            CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT, CKR_SLOT_ID_INVALID:
            true
        default: false
        }
    }

    /// What a caller can act on.
    var code: KeyError.Code {
        switch value {
        // A locked PIN too: a person has to act, and trying again may destroy keys.
        case CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED,
            CKR_PIN_LOCKED, CKR_USER_PIN_NOT_INITIALIZED:
            .wrongPassphrase
        case CKR_DEVICE_MEMORY: .limitExceeded
        default: .unavailable
        }
    }
}

extension KeyError {
    /// What a failure means to a caller; `attempt` says what the library was asked for.
    init(_ failure: CryptokiFailure, _ attempt: String) {
        self.init(failure.code, "the token could not \(attempt)", cause: failure)
    }
}

/// Throws what a library's answer means, unless it is `CKR_OK`.
func check(
    _ result: CK_RV, _ function: String, _ attempt: @autoclosure () -> String
) throws(KeyError) {
    guard result == CKR_OK else {
        throw KeyError(CryptokiFailure(function, result), attempt())
    }
}
