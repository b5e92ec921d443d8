"""Where the API server is and as whom it is asked: a kubeconfig's context, or the pod's ServiceAccount.

Called by the live cluster. Protects the rule that whoever cannot be let in is told by a sentence that says what to do,
without the credential.
"""

import atexit
import os
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp import ClientError
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config_from_dict
from kubernetes.aio.config.kube_config import KubeConfigLoader

from sre_agent.cluster.live import credentials, kubeconfig
from sre_agent.cluster.live.credentials import Credential, Credentials, NoCredential, Source
from sre_agent.cluster.live.kubeconfig import Chosen, Entry
from sre_agent.errors import Unreachable

IN_CLUSTER = "in-cluster"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_OURS = ("exec", "token", "tokenFile")
"""Ways to prove who one is that are read here; the client's loader has the others (certificates, OIDC)."""

_LOADING = (ConfigException, ClientError, OSError, ValueError, TypeError, LookupError, AttributeError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """How the API server is reached. `context` is the kubeconfig's, or `in-cluster`; `server` tells people where."""

    context: str
    server: str
    configuration: Configuration
    credentials: Credentials


async def load_access(context: str | None = None) -> Access:
    """The named context, else the pod's ServiceAccount inside a cluster, else the kubeconfig's current context.

    Raises Unreachable with what was looked for.
    """
    if context is None and not os.environ.get("KUBECONFIG") and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return await _in_cluster()
    chosen = kubeconfig.choose(context)
    try:
        return await _of_context(chosen)
    except NoCredential as error:
        raise Unreachable(f"no cluster: context {chosen.context} of {chosen.place}: {error}") from error
    except _LOADING as error:  # its text may quote the file, and so a credential
        raise Unreachable(
            f"no cluster: context {chosen.context} of {chosen.place} cannot be used ({type(error).__name__}): "
            "look at the fields of its cluster and its user, and at the files that they name"
        ) from error


async def _in_cluster() -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    authority = SERVICE_ACCOUNT / "ca.crt"
    held = Credentials(credentials.token_file(SERVICE_ACCOUNT / "token"), every=True)
    try:
        await held.load()
        authority.read_text()
    except (NoCredential, OSError) as error:
        raise Unreachable(
            f"no cluster: the pod's ServiceAccount cannot be used: {error}; "
            "mount it (automountServiceAccountToken), or set KUBECONFIG"
        ) from error
    configuration = Configuration(host=f"https://{f'[{host}]' if ':' in host else host}:{port}")
    configuration.ssl_ca_cert = str(authority)
    return _access(IN_CLUSTER, configuration, held)


async def _of_context(chosen: Chosen) -> Access:
    _check(chosen)
    configuration = Configuration()
    user = {key: value for key, value in chosen.user.items() if key not in _OURS}
    held = _credentials(chosen)
    credential = await held.load()
    if credential.certificate is not None:
        user |= {"client-certificate": _kept(credential.certificate), "client-key": _kept(str(credential.key))}
    loader = await load_kube_config_from_dict(_alone(chosen, user), client_configuration=configuration)
    if "auth-provider" in user:
        held = Credentials(_provider(loader, configuration), every=True)
        await held.load()
    return _access(chosen.context, configuration, held)


def _check(chosen: Chosen) -> None:
    """What the client would not see, or see too late. Raises NoCredential."""
    server, proxy = str(chosen.cluster["server"]), chosen.cluster.get("proxy-url")
    if urlsplit(server).scheme not in {"http", "https"} or not urlsplit(server).hostname:
        raise NoCredential("the server of its cluster is no https:// address")
    if proxy and urlsplit(str(proxy)).scheme not in {"http", "https"}:
        raise NoCredential("the proxy-url of its cluster is no http:// or https:// address")
    if any(key.startswith("as") for key in chosen.user):
        raise NoCredential("its user acts as another one (as, as-groups), which the agent does not; use that one's own")


def _alone(chosen: Chosen, user: Entry) -> Entry:
    """The one context as a kubeconfig of its own."""
    name = chosen.context
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": chosen.cluster}],
        "users": [{"name": name, "user": user}],
    }


def _credentials(chosen: Chosen) -> Credentials:
    """In kubectl's order: the token file, the token, the plugin."""
    user = chosen.user
    if user.get("tokenFile"):
        return Credentials(credentials.token_file(Path(user["tokenFile"])), every=True)
    if isinstance(user.get("exec"), dict) and not user.get("token"):
        return Credentials(credentials.plugin(user["exec"], chosen.directory), every=False)
    return Credentials(credentials.fixed(str(user["token"]) if user.get("token") else None), every=False)


def _provider(loader: KubeConfigLoader, configuration: Configuration) -> Source:
    """An auth provider (OIDC), as the client knows it; it looks itself whether its token has ended."""

    async def source() -> Credential:
        try:
            await loader.load_and_set(configuration)
        except _LOADING as error:
            raise NoCredential(f"its auth provider gave no token ({type(error).__name__}); log in again") from error
        return Credential(token=str(configuration.api_key.get("BearerToken", "")).removeprefix("Bearer ") or None)

    return source


def _kept(text: str) -> str:
    """A file that only we can read, gone with the process, for TLS, which takes its keys from files."""
    with tempfile.NamedTemporaryFile("w", prefix="sre-agent-", suffix=".pem", delete=False) as file:
        file.write(text)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name


def _access(context: str, configuration: Configuration, held: Credentials) -> Access:
    address = urlsplit(configuration.host)
    # As Go does, and so kubectl: certificates of old authorities lack what Python's strict mode asks for.
    configuration.disable_strict_ssl_verification = True
    configuration.proxy = configuration.proxy or _proxy(configuration.host)
    server = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
    return Access(context=context, server=server, configuration=configuration, credentials=held)


def _proxy(server: str) -> str | None:
    """HTTPS_PROXY or HTTP_PROXY, unless NO_PROXY leaves the server out: by name, domain, address or network."""
    address = urlsplit(server)
    host = address.hostname or ""
    proxy = getproxies().get(address.scheme)
    if proxy is None or host == "localhost" or proxy_bypass(host) or _in_left_out_network(host):
        return None
    return proxy


def _in_left_out_network(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    for part in getproxies().get("no", "").split(","):
        try:
            if address in ip_network(part.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
