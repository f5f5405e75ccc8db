"""The 44 contacts of Kōwhai & Hart Studio Ltd, each there for a reason; the README repeats the numbers."""

from xero_simulator.demo.plan import Plan
from xero_simulator.documents import Person

LONG_NAME = ("Wellington Harbour and Hutt Valley Combined Community Arts, Crafts, Music and Heritage Trust, " * 3)[:251] + " Inc"
FIRST_CLIENT = "C-001"
SHARED_BY_BOTH = "office@tui-trading.example"


def add_contacts(plan: Plan) -> None:
    _add_addresses(plan)
    _add_names(plan)
    _add_languages(plan)
    _add_states(plan)


def _add_addresses(plan: Plan) -> None:
    plan.contact(
        FIRST_CLIENT, "Acorn Street Bakery", "you@demo.example", first_name="Mere", last_name="Acorn", phone="555 0101", city="Wellington"
    )
    plan.contact("C-002", "Harakeke Holdings Ltd", "accounts@harakeke.example", city="Auckland", company_number="9429000000002")
    plan.contact("C-003", "Tūī Trading Co", SHARED_BY_BOTH, first_name="Wiremu", last_name="Tūī")
    plan.contact("C-004", "Rātā Joinery Ltd", "accounts@rata-joinery.example")
    plan.contact("C-005", "Rātā Joinery Showroom", "accounts@rata-joinery.example")
    plan.contact("C-006", "Rātā Kitchens", "Accounts@Rata-Joinery.example")
    plan.contact("C-007", "Bücher Müller GmbH", "buchhaltung@bücher-müller.example", country="Germany")
    plan.contact("C-008", "株式会社さくら工房", "keiri@ｓａｋｕｒａ.example", country="Japan", currency="JPY")
    plan.contact("C-009", "Nīkau Gardens")
    plan.contact("C-010", "Pōhutukawa Motel", "n/a")
    plan.contact("C-011", "Jo Walker", "jo.walker@freemail.example", first_name="Jo", last_name="Walker")
    people = [("Ana", "Reid"), ("Ben", "Sio"), ("Cleo", "Tan"), ("Dev", "Rao"), ("Eve", "Moss")]
    five = [Person(first_name=a, last_name=b, email=f"{a}.{b}@fiveways.example".lower()) for a, b in people]
    plan.contact("C-012", "Fiveways Medical Centre", "reception@fiveways.example", persons=five)
    outside = Person(first_name="Olga", last_name="Finch", email="olga@finch-bookkeeping.example")
    plan.contact("C-013", "Manuka Lane Dental", "hello@manuka-lane.example", persons=[outside])


def _add_names(plan: Plan) -> None:
    plan.contact("C-014", LONG_NAME, "treasurer@long-name.example")
    plan.contact("C-015", "Bell & Sons <b>bold</b> <script>alert(1)</script>", "bell@markup.example")
    plan.contact("C-016", 'O\'Neill "The Painter" \\ Co', "oneill@quotes.example")
    plan.contact("C-017", "Visit https://pay-here.example/now Ltd", "visit@web-address.example")
    plan.contact("C-018", "Levant Imports \u202bشركة الشام\u202c (2019)", "levant@right-to-left.example")
    plan.contact("C-019", "Party Time 🎈🎉 Hire", "fun@emoji.example")
    plan.contact("C-020", "Pay\u200bRight\u202e dtL\u202c Partners\u2060", "payright@hidden.example")


def _add_languages(plan: Plan) -> None:
    plan.contact("C-021", "Te Whare Wānanga o Ngā Hau e Whā", "kaute@ngahau.example")
    plan.contact("C-022", "Żółta Łódź Sp. z o.o.", "faktury@zolta.example", country="Poland")
    plan.contact("C-023", "Ελληνικά Ελαιόλαδα ΑΕ", "logistirio@elaia.example", country="Greece")
    plan.contact("C-024", "ООО «Северный ветер»", "buh@sever.example")
    plan.contact("C-025", "شركة النخيل للتجارة", "hesabat@nakheel.example")
    plan.contact("C-026", "חברת הזית בע״מ", "kesafim@zayit.example")
    plan.contact("C-027", "सूर्या ट्रेडर्स", "lekha@surya.example", country="India")
    plan.contact("C-028", "บริษัท ดอกบัว จำกัด", "banchi@dokbua.example", country="Thailand")
    plan.contact("C-029", "翠湖贸易有限公司", "caiwu@cuihu.example", country="China")
    plan.contact("C-030", "한빛 디자인 주식회사", "hoegye@hanbit.example")


def _add_states(plan: Plan) -> None:
    plan.contact("C-031", "Southern Cross Freight Ltd", "accounts@southern-cross.example")
    plan.contact("C-032", "Southern Cross Freight Limited", "accounts@southerncross-freight.example")
    plan.contact("0042", "Zenith Signs", "office@zenith-signs.example")
    plan.contact("42", "Zephyr Sails", "office@zephyr-sails.example")
    plan.contact("C-035", "Kauri Print & Paper", "orders@kauri-print.example")
    plan.contact("C-036", "Weka Courier Supplies", "billing@weka.example")
    plan.contact("C-037", "Drafted Dreams Architects", "studio@drafted.example")
    plan.contact("C-038", "Takahē Office Rentals", "rent@takahe.example")
    plan.contact("C-039", "Void & Null Consulting", "hello@void-null.example")
    plan.contact("C-040", "Paid Promptly Ltd", "pay@promptly.example")
    plan.contact("C-041", "Never Invoiced Society", "secretary@never.example")
    plan.contact("C-042", "Yesterday's Cafe", "cafe@yesterday.example", status="ARCHIVED")
    into = plan.contacts["C-004"].id
    plan.contact("C-043", "Rātā Timber (old)", "timber@rata-joinery.example", status="ARCHIVED", merged_into=into)
    plan.contact("C-044", "Three Seas Trading", "finance@three-seas.example", first_name="Lin", last_name="Sato")
