"""Secrets and personal data are found, never quoted, and seldom seen where there are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragua_dataset.ingestion.checks.private_data import find_private


def kinds(text: str) -> list[str]:
    return [found.kind for found in find_private(text)]


# Put together here, so that no scanner of repositories takes this file for a leak.
SECRETS = {
    "an AWS access key": "AKIA" + "4QX7LM2ZT9WB3RKD",
    "a Google API key": "AIza" + "SyD3x9Qw7Lk2Mn8Rt5Vb1Zc6Yh4Jp0Gf-uE",
    "a GitHub token": "ghp_" + "a8Kd93LmQz01XyVbTr56NwPe72HcJf4SgU9o",
    "a GitLab token": "glpat-" + "x9Kd83mQz01XyVbTr56N",
    "a Slack token": "xoxb-" + "482910573829-LmQz01XyVbTr56NwPe",
    "an API key": "sk-proj-" + "Kd93LmQz01XyVbTr56NwPe72",
    "a JSON Web Token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiI5Mzg0NzUifQ." + "dozjgNryP4J3jVmNHl0w5N",
    "a bearer token": "Bearer " + "Kd93LmQz01XyVbTr56NwPe72",
    "a password in an address": "postgresql://ana:" + "Gr4nada#77" + "@servidor/base",
    "a password or key": 'DB_PASSWORD = "' + 'Gr4nada#77"',
    "a private key": "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7bq3\n",
}
PERSONAL = {
    "an e-mail address": ["escribe a ana.perez@correo.es.", "<Jose+cv@uni-granada.es>"],
    "a DNI": ["DNI 12345678Z", "12345678-Z", "12.345.678-Z"],
    "an NIE": ["su NIE es X1234567L", "Y-1234567-X"],
    "a bank account": [
        "ES91 2100 0418 4502 0005 1332",
        "IBAN: ES9121000418450200051332 Gracias",
        "DE89370400440532013000",
    ],
    "a card number": ["4111 1111 1111 1111", "5500-0000-0000-0004", "tarjeta 378282246310005"],
    "a phone number": [
        "+34 612 345 678",
        "+34612345678",
        "+1 (212) 736-5000",
        "612 34 56 78",
        "91 736 50 00",
        "Llámame al 612345678",
        "Teléfono: 917 365 000",
        "(212) 736-5000",
    ],
}
TUTORING = [
    "El puerto es 192.168.100.200:8080 y la versión 10.15.7.",
    "La población pasó de 700 000 000 a 612 345 678 habitantes entre 1950-01-01 y 2020-12-31.",
    "π ≈ 3.14159265358979 y e ≈ 2,718281828459045; 0.4111111111111111 es 37/90.",
    "ISBN 978-84-376-0494-7, DOI 10.1000/182, 2024-01-15T10:30:00.123456789Z",
    "x = 987654321\ny = 612345678\nprint(x * y, 2**64, 18446744073709551616)",
    "def entrar(usuario, contraseña):\n    if contraseña == 'secreta123':\n        return token_de(usuario)",
    'password = input("Contraseña: ")\npassword = os.environ["DB_PASSWORD"]\ntoken = crear_token(usuario_1)',
    "api_key = 'TU_API_KEY_1234'; clave = 'Nombre1'; secret = \"<pon-aquí-tu-clave-2>\"; token: 'xxxxXXXX0000'",
    "diccionario = {'clave1': 'ValorUno1', 'clave_2': 'Madrid-2024'}",
    "pip install scikit-learn==1.4.2 # sk-learn\ngit clone git@github.com:usuario/repo2.git",
    "@app.get('/usuarios/{id}')\n@dataclass\nclass Punto2D: ...  # correo de ejemplo: ana@example.com",
    "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx1 es solo la forma de una clave; ghp_" + "x" * 35 + "1 también.",
    "-----BEGIN PRIVATE KEY-----\n(aquí va la clave, 2048 bits, con sus parámetros)\n-----END PRIVATE KEY-----",
    "token = 'sesion_del_alumno_2024'; clave_secreta = 'estaEsMuyLarga'; pwd = 'cambiame'",
    "hash = 'd41d8cd98f00b204e9800998ecf8427e'  # MD5 de la cadena vacía",
    "El DNI 12345678A no es válido: 12345678 % 23 = 14, que es la Z; X0000000A tampoco.",
    "ES9121000418450200051333 y 4111 1111 1111 1112 tienen mal el dígito de control.",
    "for i in range(10):\n    print(f'{i:>10} {i ** 2:>10} {i ** 3:>10}')  # 1 1 1, 2 4 8, 3 9 27, 4 16 64",
]


@pytest.mark.parametrize("kind", SECRETS)
def test_each_kind_of_secret_is_found_in_the_midst_of_text(kind: str) -> None:
    found = find_private(f"Usa esto:\n{SECRETS[kind]}\ny ya está.")
    assert ("SECRET", kind) in [(private.code, private.kind) for private in found]


@pytest.mark.parametrize(
    "assigned",
    [
        'password = "{}"',
        "contraseña: '{}'",
        '{{"client_secret": "{}"}}',
        "export API_KEY={}",
        'os.environ["GITHUB_TOKEN"] = "{}"',
    ],
)
@pytest.mark.parametrize("value", ["Gr4nada#77", "kX92mLpQ7v", "9f86d081884c7d659a2feaa0c55ad015"])
def test_what_is_assigned_to_a_telling_name_is_a_secret_when_it_looks_like_one(assigned: str, value: str) -> None:
    assert kinds(assigned.format(value)) == ["a password or key"]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in PERSONAL.items() for text in texts])
def test_each_kind_of_personal_data_is_found_as_people_write_it(kind: str, text: str) -> None:
    found = find_private(f"Hola, {text}")
    assert [(private.code, private.kind) for private in found] == [("PERSONAL_DATA", kind)]


@pytest.mark.parametrize("text", TUTORING)
def test_code_numbers_and_placeholders_of_ordinary_lessons_are_none(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize("text", [*SECRETS.values(), *(text for texts in PERSONAL.values() for text in texts)])
def test_a_finding_says_where_and_what_but_never_quotes(text: str) -> None:
    lead = "Una frase que viene antes. "
    for found in find_private(lead + text):
        assert len(lead) - 1 <= found.at < len(lead + text)
        assert not any(word in found.kind for word in text.split() if any(letter.isdigit() for letter in word))


def test_each_kind_is_told_once_where_it_comes_first() -> None:
    found = find_private("ana@correo.es y luis@correo.es, DNI 12345678Z")
    assert [(private.kind, private.at) for private in found] == [("an e-mail address", 3), ("a DNI", 36)]


@given(st.integers(0, 99_999_999), st.sampled_from("ABCDEFGHJKLMNPQRSTVWXYZ"))
def test_of_the_letters_after_eight_digits_one_makes_a_dni(number: int, letter: str) -> None:
    expected = ["a DNI"] if "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == letter else []
    assert kinds(f"el {number:08}{letter} es") == expected


@given(st.text("aeyJ.-_@:/= \\n0123456789skxobghp+()'\"ABEGIN", max_size=200))
def test_no_text_breaks_the_search(text: str) -> None:
    assert all(0 <= found.at < len(text) for found in find_private(text))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    ["eyJ", "-eyJ", "Bearer ", "sk-", "@a.", "://a:b@", "+34 ", "1 ", "-----BEGIN PRIVATE KEY-----\\n", "clave='"],
)
def test_hostile_repetition_takes_no_more_than_linear_time(piece: str) -> None:
    find_private(piece * (1_000_000 // len(piece)) + "1234567 ana@")
