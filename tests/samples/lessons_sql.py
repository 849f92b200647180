"""What a strong instructor may answer to three errors on examples/sales: programs that write SQL, and one that each check refuses."""

from loopback import Lesson

NEVER = """
CITIES = ["Bergen", "Cork", "Graz", "Lyon", "Porto", "Turin"]
STATUSES = ["open", "cancelled", "returned", "shipped"]
ASKED = [
    "Which customers in {city}{since} have no {status} order?",
    "Take our customers in {city}{since}. Who of them is without any {status} order?",
    "{status} orders are looked into. Whose name stands on none of them, of those in {city}{since}?",
]

def draw(rng, level):
    until = f"2025-{rng.randint(6, 12):02}-{rng.randint(1, 28):02}" if level > 1 else None
    return {"city": rng.choice(CITIES), "status": rng.choice(STATUSES), "until": until, "told": rng.randrange(3)}

def people(city, until):
    return f"SELECT name FROM customers WHERE city = '{city}'" + (f" AND joined < '{until}'" if until else "")

def make(city, status, until, told):
    since = f" that joined before {until}" if until else ""
    other = STATUSES[STATUSES.index(status) - 1]
    both = f"INSERT INTO orders (customer_id, day, status) SELECT id, '2026-01-05', '{status}' FROM customers WHERE id % 2 = 0"
    return {
        "question": ASKED[told].format(city=city, since=since, status=status),
        "answer": people(city, until) + f" AND id NOT IN (SELECT customer_id FROM orders WHERE status = '{status}')",
        "variations": [f"{both}; {both.replace(repr(status), repr(other))}", f"DELETE FROM orders WHERE status = '{status}'"],
    }

def wrong(city, status, until, told):
    return people(city, until) + f" AND id IN (SELECT customer_id FROM orders WHERE status <> '{status}')"

ANCHORS = {"e1": {"city": "Porto", "status": "open", "until": None, "told": 0}}
"""

NEWEST = """
ASKED = [
    "Our {count} newest customers{place}, the newest first, ties by id.",
    "Give me {count} names{place}: who joined last? The latest on top, then by id.",
    "Sorted by the day of joining, from late to early and then by id, which {count} customers{place} come first?",
]

def draw(rng, level):
    city = rng.choice(["Bergen", "Cork", "Graz", "Lyon"]) if rng.random() < level / 8 else None
    return {"count": rng.randint(2, 6 + 4 * level), "city": city, "told": rng.randrange(3)}

def query(count, city, order):
    return "SELECT name FROM customers" + (f" WHERE city = '{city}'" if city else "") + f" ORDER BY joined{order}, id LIMIT {count};"

def make(count, city, told):
    place = f" from {city}" if city else ""
    return {"question": ASKED[told].format(count=count, place=place), "answer": query(count, city, " DESC")}

def wrong(count, city, told):
    return query(count, city, "")

ANCHORS = {"e1": {"count": 5, "city": None, "told": 0}}
"""

MORE = """
def draw(rng, level):
    return {"count": rng.randint(1, 3 * level), "status": rng.choice(["open", "shipped"])}

def query(count, status, sign):
    return ("SELECT city FROM customers JOIN orders ON orders.customer_id = customers.id "
            f"WHERE status = '{status}' GROUP BY city HAVING count(*) {sign} {count}")

def make(count, status):
    return {"question": f"In which cities are more than {count} orders {status}?", "answer": query(count, status, ">"),
            "variations": [f"UPDATE orders SET status = '{status}'"]}

def wrong(count, status):
    return query(count, status, ">=")

ANCHORS = {"e1": {"count": 4, "status": "open"}}
"""


def but(source: str, old: str, new: str) -> str:
    """The program with one thing changed."""
    assert old in source
    return source.replace(old, new)


LESSONS = [
    Lesson(
        "Which customers in Porto have no open order?",
        "```sql\nSELECT DISTINCT name FROM customers JOIN orders ON orders.customer_id = customers.id\n"
        "WHERE city = 'Porto' AND orders.status <> 'open';\n```",
        (but(NEVER, "WHERE city =", "WHERE town ="), but(NEVER, "id NOT IN (", "id IN ("), NEVER),
    ),
    Lesson(
        "Our 5 newest customers, the newest first, ties by id.",
        "SELECT name FROM customers ORDER BY joined, id LIMIT 5;",
        (
            but(NEWEST, "def draw(", "SEEN = []\n\ndef draw(")
            .replace("    place =", "    SEEN.append(0)\n    place =")
            .replace('" DESC")}', '" DESC" if len(SEEN) < 150 else " desc")}'),
            but(NEWEST, 'return query(count, city, "")', 'return query(count + 1, city, "")'),
            NEWEST,
        ),
    ),
    Lesson(
        "In which cities are more than 4 orders open?",
        "I would group them: SELECT city FROM customers, orders WHERE status = 'open' GROUP BY city",
        (
            but(MORE, "UPDATE orders SET status", "DROP TABLE orders; UPDATE orders SET status"),
            but(MORE, "WHERE status = '{status}'", "WHERE status = '{status}' AND city = 'Rome'"),
            MORE,
        ),
    ),
]
CHECKS = ["runs", "anchored", "deterministic", "telling", "runs", "runs", "diverse"]
"""What refuses them, in their order; the last lesson has no program that passes."""
