/** Settings about TLS: `client_tls_…` towards clients, `server_tls_…` towards PostgreSQL. */
import type { SettingRow } from "./setting-row.ts";
import { SslMode } from "./setting-words.ts";

const SSL_MODES = Object.values(SslMode);

export const TLS_SETTINGS = [
  {
    name: "client_tls_sslmode",
    type: "enum",
    values: SSL_MODES,
    default: "disable",
    doc: "What is asked of clients on TCP: no TLS, TLS if they want it (allow, prefer), TLS, or TLS with a valid certificate.",
  },
  {
    name: "client_tls_key_file",
    type: "string",
    default: "",
    doc: "Private key of the certificate shown to clients.",
  },
  { name: "client_tls_cert_file", type: "string", default: "", doc: "Certificate shown to clients." },
  {
    name: "client_tls_ca_file",
    type: "string",
    default: "",
    doc: "Authorities that clients' certificates must come from. Empty = the system's; below verify-ca clients are then asked for none.",
  },
  {
    name: "client_tls_protocols",
    type: "string",
    default: "secure",
    doc: "Versions of TLS: tlsv1.0 to tlsv1.3, tlsv1, all, secure (1.2 and 1.3), separated by commas; `!` takes one away. Of versions with a gap between them, those above it.",
  },
  {
    name: "client_tls_ciphers",
    type: "string",
    default: "default",
    doc: "Ciphers of TLS 1.2 and older, as OpenSSL lists them; default, secure, normal and fast mean the library's own choice.",
  },
  {
    name: "client_tls13_ciphers",
    type: "string",
    default: null,
    doc: "Suites of TLS 1.3, separated by colons. Not set = the library's own choice.",
  },
  {
    name: "client_tls_ecdhcurve",
    type: "string",
    default: "auto",
    doc: "Curve of the key exchange: none, auto, or its name.",
  },
  {
    name: "client_tls_dheparams",
    type: "string",
    default: "auto",
    doc: "Finite-field Diffie-Hellman (TLS 1.2 and older): auto or none. On Bun there is none.",
  },
  {
    name: "server_tls_sslmode",
    type: "enum",
    values: SSL_MODES,
    default: "prefer",
    doc: "What is asked of PostgreSQL: no TLS, TLS if it can (allow, prefer), TLS, a valid chain, or a valid chain and host name.",
  },
  {
    name: "server_tls_ca_file",
    type: "string",
    default: "",
    doc: "Authorities that PostgreSQL's certificate must come from. Empty = the system's.",
  },
  {
    name: "server_tls_key_file",
    type: "string",
    default: "",
    doc: "Private key of the certificate shown to PostgreSQL.",
  },
  { name: "server_tls_cert_file", type: "string", default: "", doc: "Certificate shown to PostgreSQL." },
  {
    name: "server_tls_protocols",
    type: "string",
    default: "secure",
    doc: "Versions of TLS, as in client_tls_protocols.",
  },
  {
    name: "server_tls_ciphers",
    type: "string",
    default: "default",
    doc: "Ciphers of TLS 1.2 and older, as in client_tls_ciphers.",
  },
  {
    name: "server_tls13_ciphers",
    type: "string",
    default: null,
    doc: "Suites of TLS 1.3, as in client_tls13_ciphers.",
  },
] as const satisfies readonly SettingRow[];
